import {
  BEGINNING,
  type Bucket,
  before,
  earliest,
  isAfter,
  type Log,
  latest,
  numberOf,
  type Position,
  type RecordedCommit,
  type Row,
  type Runtime,
  reasonOf,
  type SlotGroup,
  type StreamRef,
} from '../../eventstore/index.ts';
import { FoldFailure, ForeignCheckpoint, UnappliedEvent } from './errors.ts';
import { type FactDecoder, foldRow } from './facts.ts';
import { allGroups, type GroupCount, keyOfGroup } from './groups.ts';
import type { Projection } from './projection.ts';
import type { SeenRevisions } from './writer.ts';

/**
 * What is remembered of an aggregate whose row does not simply follow the log.
 * parked: from `position` on nothing was applied. released: the row was folded again from the log, and is so each
 * time its view is opened, since the bucket may have forgotten that; only a rebuild ends it.
 */
export interface Mark {
  readonly stream: StreamRef;
  readonly state: 'parked' | 'released';
  /** Of the commit that could not be applied; 0 for a row that was no dead letter. */
  readonly position: Position;
  readonly reason: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** An aggregate's row that is a dead letter, as `status` shows it. */
export type DeadLetterRow = Pick<Mark, 'position' | 'reason'> & { readonly key: string };

/** More than these are no exceptions but a fault of the view or of what writes the events. */
export const MOST_MARKS = 100;

/** The marks of a group, by aggregate id, in one row of the view's bucket, next to the checkpoint. */
export interface StoredMarks {
  readonly marks: ReadonlyMap<string, Mark>;
  readonly revision: number;
}

/** The key of a group's marks. */
export function marksKey(group: SlotGroup): string {
  return keyOfGroup('parked', group);
}

/** Through the leader. @throws LogUnavailable */
export async function readMarks(bucket: Bucket, group: SlotGroup): Promise<StoredMarks> {
  return marksIn(await bucket.get(marksKey(group), { leader: true }));
}

/** The rows of a view that are dead letters, of all of its groups. @throws LogUnavailable */
export async function readDeadLetterRows(
  bucket: Bucket,
  count: GroupCount,
): Promise<readonly DeadLetterRow[]> {
  const groups = await Promise.all(allGroups(count).map((group) => readMarks(bucket, group)));
  return groups
    .flatMap(({ marks }) => [...marks.values()])
    .filter(({ state }) => state === 'parked')
    .map(({ stream, position, reason }) => ({ key: stream.id, position, reason }));
}

/** What the row of a group's marks says. */
export function marksIn(row: Row | undefined): StoredMarks {
  if (row === undefined || row.value.length === 0) return { marks: new Map(), revision: row?.revision ?? 0 };
  const list = JSON.parse(Buffer.from(row.value).toString('utf8')) as Mark[];
  return { marks: new Map(list.map((mark) => [mark.stream.id, mark])), revision: row.revision };
}

/**
 * Sets one mark, unless `accept` refuses what is there. Released marks make room, the oldest first, and no others.
 * @returns the marks as they are now stored, and false when there was no room
 * @throws LogUnavailable, OutcomeUnknown; repeating is safe
 */
export async function setMark(
  bucket: Bucket,
  group: SlotGroup,
  mark: Mark,
  accept: (known: Mark | undefined) => boolean,
): Promise<StoredMarks & { readonly stored: boolean }> {
  for (;;) {
    const known = await readMarks(bucket, group);
    if (!accept(known.marks.get(mark.stream.id))) return { ...known, stored: true };
    const marks = new Map(known.marks);
    marks.delete(mark.stream.id);
    marks.set(mark.stream.id, mark);
    for (const [id, { state }] of marks) {
      if (marks.size > MOST_MARKS && state === 'released' && id !== mark.stream.id) marks.delete(id);
    }
    if (marks.size > MOST_MARKS) return { ...known, stored: false };
    const value = Buffer.from(JSON.stringify([...marks.values()]));
    const write = { key: marksKey(group), value, expectedRevision: known.revision, position: mark.position };
    const result = await bucket.write(write);
    if (result.written) return { marks, revision: result.revision, stored: true };
  }
}

/**
 * Folds the row of one aggregate again from its whole history and puts it in the place of what is stored. Runners
 * that hold the old row lose their fence and read the new one.
 * @returns the row's position
 * @throws FoldFailure when it still cannot be folded; LogUnavailable, OutcomeUnknown
 */
export async function refoldRow(
  deps: { projection: Projection; bucket: Bucket; log: Log; decode: FactDecoder },
  stream: StreamRef,
): Promise<{ position: Position; revision: number }> {
  const { projection, bucket } = deps;
  const key = stream.id;
  for (;;) {
    const stored = await bucket.get(key, { leader: true });
    const { row, position } = await foldRow(deps, stream, key);
    if (stored !== undefined && isAfter(stored.position, position)) {
      const [at, end] = [numberOf(stored.position), numberOf(position)];
      const why = `its row ${key} is at ${at}, and the log knows that aggregate up to ${end}`;
      throw new ForeignCheckpoint(projection.name, bucket.name, why);
    }
    if (position === BEGINNING) return { position, revision: stored?.revision ?? 0 };
    const value = row === undefined ? undefined : Buffer.from(JSON.stringify(row));
    const result = await bucket.write({ key, value, expectedRevision: stored?.revision ?? 0, position });
    if (result.written) return { position, revision: result.revision };
  }
}

/** The aggregates of one group whose rows are dead letters, so that the others can go on. */
export interface DeadLetters {
  /** Whether a commit belongs to such an aggregate and is not to be applied. */
  skips(commit: RecordedCommit): boolean;
  /** Makes a dead letter of an aggregate's row from this commit on. False = the view's policy is to stop. */
  add(stream: StreamRef, position: Position, cause: unknown): boolean;
  /** Up to where a checkpoint may cover as far as marks under way are concerned; undefined = none is under way. */
  floor(): Position | undefined;
  list(): readonly DeadLetterRow[];
  /** Takes up what an operator has released since. @throws LogUnavailable, OutcomeUnknown */
  look(): Promise<void>;
}

export interface DeadLettersDeps {
  readonly projection: Projection;
  readonly bucket: Bucket;
  readonly group: SlotGroup;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly seen: SeenRevisions;
}

interface DeadLetter {
  readonly mark: Mark;
  /** The newest commit that was not applied. */
  skipped: Position;
  stored: boolean;
}

/** Opens the dead letters with what is marked in the bucket. @throws LogUnavailable, OutcomeUnknown */
export async function openDeadLetters(
  deps: DeadLettersDeps,
  events: { progressed(): void; failed(error: unknown): void },
): Promise<DeadLetters> {
  const { projection, bucket, group, runtime, seen } = deps;
  const entries = new Map<string, DeadLetter>();

  const note = (revision: number): void => {
    seen.highest = Math.max(seen.highest, revision);
  };

  const store = async (entry: DeadLetter): Promise<void> => {
    const { mark } = entry;
    try {
      // Another runner may have made it a dead letter already, or it was released for a commit before this one.
      const accept = (known: Mark | undefined) => known?.state !== 'parked';
      const result = await setMark(bucket, group, mark, accept);
      note(result.revision);
      if (!result.stored) {
        const why = new Error(
          `${MOST_MARKS} aggregates are dead letters already; the last reason: ${mark.reason}`,
        );
        return events.failed(new UnappliedEvent(projection.name, mark.position, why));
      }
      entry.stored = true;
      events.progressed();
    } catch (error) {
      events.failed(error);
    }
  };

  const add = (stream: StreamRef, position: Position, cause: unknown): boolean => {
    if (projection.onUnapplied !== 'dead-letter') return false;
    const at = runtime.now();
    const mark: Mark = { stream, state: 'parked', position, reason: reasonOf(cause), at };
    const skipped = latest(position, entries.get(stream.id)?.skipped ?? BEGINNING);
    const entry = { mark, skipped, stored: false };
    entries.set(stream.id, entry);
    void store(entry);
    return true;
  };

  /** Folds a released row again; commits that were skipped meanwhile are in it before the next one is applied. */
  const takeUp = async (mark: Mark): Promise<void> => {
    const { stream } = mark;
    try {
      for (;;) {
        const { position, revision } = await refoldRow(deps, stream);
        note(revision);
        const entry = entries.get(stream.id);
        if (entry !== undefined && isAfter(entry.skipped, position)) continue;
        entries.delete(stream.id);
        return;
      }
    } catch (error) {
      if (!(error instanceof FoldFailure)) throw error;
      if (!add(stream, error.position, error.cause)) events.failed(error);
    }
  };

  const look = async (): Promise<void> => {
    const { marks, revision } = await readMarks(bucket, group);
    note(revision);
    for (const [id, mark] of marks) {
      if (mark.state === 'released' && entries.get(id)?.stored === true) await takeUp(mark);
    }
  };

  if (!projection.crossesAggregates) {
    const { marks, revision } = await readMarks(bucket, group);
    note(revision);
    for (const [id, mark] of marks) {
      if (mark.state === 'parked') entries.set(id, { mark, skipped: mark.position, stored: true });
      else await takeUp(mark);
    }
  }

  return {
    skips: ({ stream, position }) => {
      if (entries.size === 0) return false;
      const entry = entries.get(stream.id);
      if (entry === undefined || isAfter(entry.mark.position, position)) return false;
      entry.skipped = latest(entry.skipped, position);
      return true;
    },
    add,
    floor: () => {
      let floor: Position | undefined;
      for (const { mark, stored } of entries.values()) {
        if (stored) continue;
        const low = before(mark.position);
        floor = floor === undefined ? low : earliest(floor, low);
      }
      return floor;
    },
    list: () =>
      [...entries].map(([key, { mark }]) => ({ key, position: mark.position, reason: mark.reason })),
    look: async () => {
      if (entries.size > 0) await look();
    },
  };
}
