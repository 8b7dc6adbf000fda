import type { Int32Value } from '@bufbuild/protobuf/wkt';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import { account } from './kernel-scenario.ts';

/** A decision of the log, with the account as it was before and after. */
export interface StoredDecision {
  readonly commandId: string;
  readonly commitId: string;
  readonly id: string;
  readonly position: number;
  /** The version that the commit was appended on. */
  readonly previous: number;
  readonly before: number;
  readonly after: number;
  /** Whether the account existed, also when only by an earlier decision of the same commit. */
  readonly born: boolean;
  readonly by: readonly number[];
  /** The body that its fingerprint is made of. */
  readonly body: string;
  /** Whether it has its commit for itself. */
  readonly alone: boolean;
}

/** An account as it was at some moment. */
export interface Moment {
  readonly balance: number;
  readonly version: number;
  readonly born: boolean;
}

/** The log, folded once and looked at from every side. */
export interface Histories {
  readonly decisions: readonly StoredDecision[];
  /** Every state of an account from the one at a position of the log up to the one at another. */
  within(id: string, from: number, to: number): Moment[];
}

/** Folds the whole log of a store. */
export function historiesOf(store: MemoryStore): Histories {
  const decisions: StoredDecision[] = [];
  const balances = new Map<string, number>();
  const codec = codecOf<Int32Value>(account);
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    if (commit === undefined) continue;
    const { id } = commit.stream;
    for (const [index, { commandId, events, fingerprint }] of commit.decisions.entries()) {
      const before = balances.get(id) ?? account.initial;
      const decoded = events.map((event) => codec.decode(event));
      const after = decoded.reduce(account.evolve, before);
      balances.set(id, after);
      const { commitId, previous } = commit;
      const body = new TextDecoder().decode(fingerprint);
      const place = { commandId, commitId, id, position, previous, before, after, body };
      const alone = commit.decisions.length === 1;
      decisions.push({
        ...place,
        born: previous > 0 || index > 0,
        by: decoded.map((e) => (e as { value: number }).value),
        alone,
      });
    }
  }
  const within: Histories['within'] = (id, from, to) => {
    const own = decisions.filter((d) => d.id === id && d.position <= to);
    const start = own.findLastIndex((d) => d.position <= from);
    const moments = own.slice(Math.max(0, start)).map(momentAfter);
    return start < 0 ? [{ balance: account.initial, version: 0, born: false }, ...moments] : moments;
  };
  return { decisions, within };
}

const momentAfter = (d: StoredDecision): Moment => ({ balance: d.after, version: d.position, born: true });
