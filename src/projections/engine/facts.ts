import type { Message } from '@bufbuild/protobuf';
import {
  BEGINNING,
  codecOf,
  type Decided,
  decidedIn,
  type EventCodec,
  type EventSource,
  type Log,
  LogUnavailable,
  numberOf,
  type Position,
  type RecordedCommit,
  type StreamRef,
  versionAt,
} from '../../eventstore/index.ts';

import { FoldFailure } from './errors.ts';
import type { EventContext, Projection } from './projection.ts';

/** An event and where it comes from. */
export interface Fact {
  readonly event: Message;
  readonly context: EventContext;
}

/** A commit whose events were decoded, once for all views. */
export interface FactCommit {
  readonly commit: RecordedCommit;
  readonly facts: readonly Fact[];
}

/** Decodes a commit of a category that one of the sources names. @throws UnknownEventType, CorruptCommit */
export type FactDecoder = (commit: RecordedCommit) => FactCommit;

/** A decoder for the categories of these sources. @internal */
export function createFactDecoder(sources: Iterable<EventSource>): FactDecoder {
  const codecs = new Map<string, EventCodec<Message>>();
  for (const source of sources) {
    if (!codecs.has(source.category)) codecs.set(source.category, codecOf(source));
  }
  return (commit) => {
    const codec = codecs.get(commit.stream.category);
    if (codec === undefined) return { commit, facts: [] };
    const facts = decidedIn(commit).map((decided, index) => {
      const { events } = decided;
      const context = new DecisionContext(commit, index, decided);
      return events.map((stored) => ({ event: codec.decode(stored, commit.stream.id), context }));
    });
    return { commit, facts: facts.length === 1 ? (facts[0] ?? []) : facts.flat() };
  };
}

/** A decoder to which a commit that is passed over has no events. */
export function passing(decode: FactDecoder, passed: ReadonlySet<Position>): FactDecoder {
  if (passed.size === 0) return decode;
  return (commit) => (passed.has(commit.position) ? { commit, facts: [] } : decode(commit));
}

/** A class, because its accessors are shared: few projections ask for more than the stream and the time. */
class DecisionContext implements EventContext {
  readonly stream: StreamRef;
  readonly position: Position;
  readonly time: number;
  readonly traceparent: string;
  readonly #commit: RecordedCommit;
  readonly #index: number;

  constructor(commit: RecordedCommit, index: number, { time, traceparent }: Decided) {
    this.stream = commit.stream;
    this.position = commit.position;
    this.time = time;
    this.traceparent = traceparent;
    this.#commit = commit;
    this.#index = index;
  }

  get commitId(): string {
    return this.#commit.commitId;
  }

  get actor(): string {
    return this.#commit.decisions[this.#index]?.actor ?? '';
  }
}

/** The row after the facts of one commit that belong to it. */
export function foldFacts(projection: Projection, row: unknown, facts: readonly Fact[]): unknown {
  let next = row;
  for (const { event, context } of facts) next = projection.evolve(next, event, context);
  return next;
}

/**
 * The facts of a commit by the row that they change, in order. Nearly every commit changes one row, and then
 * `visit` gets the commit as it is.
 */
export function visitRows(
  projection: Projection,
  commit: FactCommit,
  visit: (key: string, facts: FactCommit) => void,
): void {
  const { facts } = commit;
  const first = facts[0];
  if (first === undefined) return;
  const key = projection.keyOf(first.event, first.context);
  if (facts.length === 1) {
    if (key !== undefined) visit(key, commit);
    return;
  }
  const byKey = new Map<string, Fact[]>();
  for (const fact of facts) {
    const k = projection.keyOf(fact.event, fact.context);
    if (k === undefined) continue;
    const same = byKey.get(k);
    if (same === undefined) byKey.set(k, [fact]);
    else same.push(fact);
  }
  for (const [k, own] of byKey) {
    visit(k, own.length === facts.length ? commit : { commit: commit.commit, facts: own });
  }
}

/** A row as the log alone says it is. */
export interface FoldedRow {
  readonly row: unknown;
  /** Position of the last commit that touched it; 0 = none did. */
  readonly position: Position;
}

const NOTHING: FoldedRow = { row: undefined, position: BEGINNING };

/**
 * Folds the row of one aggregate from its history, as the leader knows it, up to and including position `through`.
 * @param from a row to go on with, at the position of a commit of this aggregate
 * @throws LogUnavailable, also when the log does not show `through` yet although a commit at it was seen;
 *   FoldFailure when decoding or `evolve` throws
 * @internal
 */
export async function foldRow(
  deps: { log: Log; projection: Projection; decode: FactDecoder; confirm?: true },
  stream: StreamRef,
  key: string,
  through?: Position,
  from: FoldedRow = NOTHING,
): Promise<FoldedRow> {
  const { log, projection, decode, confirm = 'leader' } = deps;
  let folded = from;
  let after = versionAt(from.position);
  const last = through === undefined ? Number.POSITIVE_INFINITY : versionAt(through);
  for (;;) {
    const page = await log.read(stream, { after, confirm });
    for (const commit of page.commits) {
      if (versionAt(commit.position) > last) break;
      try {
        visitRows(projection, decode(commit), (k, own) => {
          if (k !== key) return;
          folded = { row: foldFacts(projection, folded.row, own.facts), position: commit.position };
        });
      } catch (error) {
        throw new FoldFailure(stream, commit.position, error);
      }
    }
    const end = page.commits.at(-1);
    if (end !== undefined) after = versionAt(end.position);
    if (after >= last) return folded;
    if (!page.more || page.commits.length === 0) break;
  }
  if (through !== undefined) {
    throw new LogUnavailable(`${stream.category}/${stream.id} does not show position ${numberOf(through)}`);
  }
  return folded;
}
