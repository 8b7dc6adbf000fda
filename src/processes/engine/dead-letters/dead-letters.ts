import {
  BEGINNING,
  type Bucket,
  comparePositions,
  groupOfSlot,
  keyOf,
  LogUnavailable,
  OutcomeUnknown,
  type Position,
  type Row,
  type RowWrite,
  type Runtime,
  type SlotGroup,
  type StreamRef,
  slotOf,
} from '../../../eventstore/index.ts';
import { NoBatches, OwnershipLost } from '../errors.ts';
import { checkAlive, type Session } from '../ownership.ts';
import { parseRow, toBytes, writeRow } from '../rows.ts';
import { createSignal, follow, type Persistence, persist } from '../signal.ts';
import { entryOf, parseEntryKey } from './entry.ts';

/** What is remembered of a dead letter. */
export interface DeadLetterMark {
  readonly key: string;
  readonly stream: StreamRef;
  readonly position: Position;
  readonly revision: number;
  readonly behind: boolean;
  readonly requested: 'redrive' | 'discard' | undefined;
}

/** What this process has seen of the dead letters; for a group that it owns, exactly what there is. */
export interface DeadLetterIndex {
  /** An aggregate's dead letters by position. */
  of(consumer: string, stream: StreamRef): readonly DeadLetterMark[];
  /** Every aggregate of a consumer that has some; the first one of each. */
  firsts(consumer: string): Iterable<DeadLetterMark>;
  count(consumer: string): number;
  /** Takes in a row that was read or written by this process. */
  apply(row: Pick<Row, 'key' | 'value' | 'revision'>): void;
  /** Resolves when everything up to a revision has been seen, or the signal fires. */
  reached(revision: number, signal: AbortSignal): Promise<void>;
}

/** Watches the bucket of the dead letters until the signal fires; `changed` is called after each change of an entry. */
export function watchDeadLetters(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  changed: (consumer: string, stream: StreamRef) => void,
): DeadLetterIndex {
  const consumers = new Map<string, Map<string, DeadLetterMark[]>>();
  const counts = new Map<string, number>();
  /** Own removals that the watch has not delivered yet. */
  const removed = new Map<string, number>();
  const waiting = new Set<() => void>();
  let seen = 0;

  const marksOf = (consumer: string, stream: StreamRef): DeadLetterMark[] =>
    consumers.get(consumer)?.get(keyOf(stream)) ?? [];

  const apply: DeadLetterIndex['apply'] = (given) => {
    const row: Row = { position: BEGINNING, ...given };
    const named = parseEntryKey(row.key);
    if (named === undefined) return;
    const { consumer, stream, position } = named;
    const marks = marksOf(consumer, stream);
    const known = marks.find((mark) => mark.position === position);
    if (row.revision <= Math.max(known?.revision ?? 0, removed.get(row.key) ?? 0)) return;
    const next = marks.filter((mark) => mark !== known);
    const entry = entryOf(row);
    if (entry === undefined) removed.set(row.key, row.revision);
    else {
      removed.delete(row.key);
      const { behind, request } = entry;
      const mark = { key: row.key, stream, position, revision: row.revision, behind };
      next.push({ ...mark, requested: request?.requested });
      next.sort((a, b) => comparePositions(a.position, b.position));
    }
    store(consumer, stream, next);
    counts.set(consumer, (counts.get(consumer) ?? 0) + next.length - marks.length);
    changed(consumer, stream);
  };
  const store = (consumer: string, stream: StreamRef, marks: DeadLetterMark[]): void => {
    const aggregates = consumers.get(consumer) ?? new Map<string, DeadLetterMark[]>();
    consumers.set(consumer, aggregates);
    if (marks.length === 0) aggregates.delete(keyOf(stream));
    else aggregates.set(keyOf(stream), marks);
  };
  const deliver = (row: Row): void => {
    apply(row);
    seen = row.revision;
    // Nothing older can come any more.
    if ((removed.get(row.key) ?? Number.POSITIVE_INFINITY) <= seen) removed.delete(row.key);
    for (const raise of waiting) raise();
  };

  void follow({ bucket, runtime, signal }, deliver, () => undefined);
  return {
    of: marksOf,
    firsts: function* (consumer) {
      for (const [first] of consumers.get(consumer)?.values() ?? []) if (first !== undefined) yield first;
    },
    count: (consumer) => counts.get(consumer) ?? 0,
    apply,
    reached: async (revision, until) => {
      const passed = createSignal();
      waiting.add(passed.raise);
      while (seen < revision && !until.aborted) await passed.raised(until);
      waiting.delete(passed.raise);
    },
  };
}

/** A change of an entry or its audit row. */
export type DeadLetterWrite = Omit<RowWrite, 'position'>;

/** Writes a group's entries, each time together with the group's fence. */
export interface DeadLetters {
  /** The revision that must have been seen before the group's dead letters are known. */
  readonly revision: number;
  /**
   * All or none of the writes. False when one of the entries is not as expected.
   * @throws OwnershipLost when the group is another's; LogUnavailable, OutcomeUnknown once the signal has fired
   */
  write(rows: readonly DeadLetterWrite[]): Promise<boolean>;
}

interface DeadLettersDeps {
  readonly bucket: Bucket;
  readonly index: DeadLetterIndex;
  readonly runtime: Runtime;
  /** The key of the group's fence. */
  readonly fence: string;
  readonly session: Session;
  /** Fires when the group is to be left. */
  readonly signal: AbortSignal;
}

/**
 * Makes the group's fence the session's own: whatever an earlier owner still sends is refused from now on.
 * @throws NoBatches; OwnershipLost; LogUnavailable, OutcomeUnknown once the signal has fired
 */
export async function claimDeadLetters(deps: DeadLettersDeps): Promise<DeadLetters> {
  const { bucket, runtime, fence, session, signal } = deps;
  if (bucket.writeAll === undefined) throw new NoBatches(bucket.name);
  // Unique per takeover, so that an unanswered write of an earlier one of the same session is never taken for its own.
  const tenure = `${session.id}/${runtime.id()}`;
  for (let claim = 1; ; claim++) {
    const row = await persist({ runtime, signal }, () => bucket.get(fence, { leader: true }));
    checkAlive(session, fence);
    const value = toBytes({ owner: `${tenure}/claim-${claim}` });
    const write = { key: fence, value, expectedRevision: row?.revision ?? 0 };
    const result = await writeRow({ runtime, signal }, bucket, write);
    if (result.written) return fencedDeadLetters(deps, bucket.writeAll, tenure, result.revision);
  }
}

function fencedDeadLetters(
  deps: DeadLettersDeps,
  writeAll: NonNullable<Bucket['writeAll']>,
  tenure: string,
  claimed: number,
): DeadLetters {
  const { bucket, index, runtime, fence, signal } = deps;
  const how: Persistence = { runtime, signal };
  let expectedRevision = claimed;
  let writes = 0;
  let last: Promise<unknown> = Promise.resolve();

  /** The revision of the fence when it holds `owner`; undefined when it is as it was before. */
  const stored = async (owner: string): Promise<number | undefined> => {
    const row = await bucket.get(fence, { leader: true });
    if (parseRow<{ owner?: string }>(row)?.owner === owner) return row?.revision;
    if (row?.revision !== expectedRevision) throw new OwnershipLost(`What ${fence} guards`);
    return undefined;
  };

  const write = async (rows: readonly DeadLetterWrite[]): Promise<boolean> => {
    const owner = `${tenure}/${++writes}`;
    const batch = [{ key: fence, value: toBytes({ owner }), expectedRevision }, ...rows];
    const written = await persist(how, async () => {
      try {
        await writeAll(batch);
      } catch (error) {
        const revision = await stored(owner);
        // Unknown and not there: the same batch is sent again, and only one copy can be stored.
        if (revision === undefined) throw error;
        return revision;
      }
      return stored(owner);
    });
    if (written === undefined) return false;
    expectedRevision = written;
    // The messages of a batch have consecutive sequences, the fence's first.
    for (const [at, { key, value }] of rows.entries()) {
      index.apply({ key, value: value ?? new Uint8Array(), revision: written + 1 + at });
    }
    return true;
  };

  return {
    get revision() {
      return expectedRevision;
    },
    write: (rows) => {
      const result = last.then(() => {
        if (signal.aborted) throw new OutcomeUnknown(fence, 0);
        return write(rows);
      });
      last = result.catch(() => undefined);
      return result;
    },
  };
}

/**
 * Brings the index of a group up to date with everything that became a dead letter before its fence was claimed. That the watch
 * has passed the claim shows what was removed, but not all that is there: an entry that an operator marked meanwhile
 * left its place before the claim and stands behind it. So the rows are listed, too.
 * @throws LogUnavailable once the signal has fired
 */
export async function loadDeadLetters(deps: {
  readonly bucket: Bucket;
  readonly index: DeadLetterIndex;
  readonly runtime: Runtime;
  readonly consumer: string;
  readonly group: SlotGroup;
  readonly fence: string;
  /** Of the claim. */
  readonly revision: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { bucket, index, runtime, consumer, group, fence, revision, signal } = deps;
  await index.reached(revision, signal);
  await persist({ runtime, signal }, async () => {
    let claimSeen = false;
    for await (const row of bucket.rows({ prefix: `${consumer}.`, signal })) {
      if (row.key === fence) claimSeen = row.revision >= revision;
      const id = parseEntryKey(row.key)?.stream.id;
      // What a replica that lags says of others' groups could be older than what is known.
      if (id !== undefined && groupOfSlot(slotOf(id), group.count) === group.index) index.apply(row);
    }
    if (!claimSeen) throw new LogUnavailable(`listing ${bucket.name}: the replica is behind`);
  });
}
