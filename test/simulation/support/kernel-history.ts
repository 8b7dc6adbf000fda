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
  const moments: (Moment & { readonly id: string })[] = [];
  const balances = new Map<string, number>();
  const codec = codecOf<Int32Value>(account);
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    if (commit === undefined) continue;
    const { id } = commit.stream;
    const born = balances.has(id);
    for (const [index, { commandId, events, fingerprint }] of commit.decisions.entries()) {
      const before = balances.get(id) ?? account.initial;
      const decoded = events.map((event) => codec.decode(event));
      const after = decoded.reduce(account.evolve, before);
      balances.set(id, after);
      const { commitId, previous = 0 } = commit;
      const body = new TextDecoder().decode(fingerprint);
      const place = { commandId, commitId, id, position, previous, before, after, body };
      const alone = commit.decisions.length === 1;
      decisions.push({
        ...place,
        born: born || index > 0,
        by: decoded.map((e) => (e as { value: number }).value),
        alone,
      });
      moments.push({ id, balance: after, version: position, born: true });
    }
    if (commit.foreign === undefined) continue;
    moments.push({ id, balance: balances.get(id) ?? account.initial, version: position, born });
  }
  const within: Histories['within'] = (id, from, to) => {
    const own = moments.filter((moment) => moment.id === id && moment.version <= to);
    const start = own.findLastIndex(({ version }) => version <= from);
    const rest = own.slice(Math.max(0, start));
    return start < 0 ? [{ balance: account.initial, version: 0, born: false }, ...rest] : rest;
  };
  return { decisions, within };
}
