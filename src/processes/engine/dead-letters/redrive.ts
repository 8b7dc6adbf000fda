import {
  isAfter,
  keyOf,
  type MarkWatch,
  numberOf,
  type Position,
  type Row,
  type StreamRef,
} from '../../../eventstore/index.ts';
import { GiveUp } from '../cause.ts';
import type { Handle, OwnedGroup } from '../delivery.ts';
import type { LaneResult, LaneTask } from '../lanes.ts';
import { toBytes } from '../rows.ts';
import { persist } from '../signal.ts';
import type { DeadLetterIndex, DeadLetterMark } from './dead-letters.ts';
import { auditKey, type DeadLetter, describeError, entryOf } from './entry.ts';

/** Whether something is to be done with the first dead letter of an aggregate; follows from the entry and the marks. */
export function isActionable(first: DeadLetterMark, { known }: MarkWatch): boolean {
  return first.requested !== undefined || first.behind || known.skipped.has(first.position);
}

/** Says when lanes are to look at their dead letters. */
export interface Redrives {
  /** The dead letters of an aggregate have changed. */
  look(stream: StreamRef): void;
  /** The stored floor has moved. */
  floor(low: Position): void;
}

/** Nudges the lane of an aggregate whose first dead letter is to be acted on, once the stored floor has passed it. */
export function createRedrives(deps: {
  consumer: string;
  index: DeadLetterIndex;
  marked: MarkWatch;
  stored: () => Position;
  nudge: (stream: StreamRef) => void;
}): Redrives {
  const { consumer, index, marked, stored, nudge } = deps;
  const early = new Map<string, StreamRef>();
  const look = (stream: StreamRef): void => {
    early.delete(keyOf(stream));
    const [first] = index.of(consumer, stream);
    if (first === undefined || !isActionable(first, marked)) return;
    if (!isAfter(first.position, stored())) nudge(stream);
    else early.set(keyOf(stream), stream);
  };
  return {
    look,
    floor: () => {
      for (const stream of [...early.values()]) look(stream);
    },
  };
}

/** Does what is asked for with the first dead letter of an aggregate. @throws what `DeadLetters.write` throws */
export async function actOnDeadLetter(
  owned: OwnedGroup,
  handle: Handle,
  mark: DeadLetterMark,
  { attempt, givenUp }: Pick<LaneTask, 'attempt' | 'givenUp'>,
): Promise<LaneResult> {
  const { consumer, log, bucket, deadLetters, index, marked, runtime, signal } = owned;
  const row = await persist({ runtime, signal }, () => bucket.get(mark.key, { leader: true }));
  if (row !== undefined) index.apply(row);
  const entry = entryOf(row);
  // It was marked anew meanwhile; what the lane sees now decides.
  if (row === undefined || entry === undefined || row.revision !== mark.revision)
    return { done: 0, again: true };
  const { position, stream } = mark;
  if (entry.request?.requested === 'discard') return discard(owned, stream, row, entry);
  const done = async (): Promise<LaneResult> => {
    await deadLetters.write([{ key: mark.key, value: undefined, expectedRevision: row.revision }]);
    return { done: 0, again: true };
  };
  if (marked.known.skipped.has(position)) return done();

  const commit = await persist({ runtime, signal }, () => log.at(position));
  const requestedBy = entry.request?.trace;
  const tried = { consumer: consumer.name, attempt, redriven: true, requestedBy };
  // A stream that is not ours may have let go of it, or have come back from a copy without it.
  const gone = new GiveUp(`What lay at position ${numberOf(position)} is gone; discard it.`);
  const isGone = commit === undefined || (entry.commitId ? entry.commitId !== commit.commitId : false);
  const given = isGone ? { error: gone } : givenUp;
  const result = given || !commit ? { deadLetter: given?.error } : await handle({ ...tried, commit });
  if ('handled' in result) return done();
  if (!('deadLetter' in result)) return result;
  const { request, ...rest } = entry;
  const now = runtime.now();
  const failed: DeadLetter = {
    ...rest,
    behind: false,
    error: describeError(result.deadLetter),
    attempts: entry.attempts + attempt,
    firstAt: entry.firstAt === 0 ? now : entry.firstAt,
    lastAt: now,
    lastRequest: request?.id,
    write: runtime.id(),
  };
  await deadLetters.write([{ key: mark.key, value: toBytes(failed), expectedRevision: row.revision }]);
  return { done: 0, again: true };
}

async function discard(
  { consumer, bucket, deadLetters, runtime, signal, observer }: OwnedGroup,
  stream: StreamRef,
  row: Row,
  entry: DeadLetter,
): Promise<LaneResult> {
  const key = auditKey(consumer.name, stream, entry.position);
  const before = await persist({ runtime, signal }, () => bucket.get(key, { leader: true }));
  await deadLetters.write([
    { key: row.key, value: undefined, expectedRevision: row.revision },
    { key, value: toBytes(entry), expectedRevision: before?.revision ?? 0 },
  ]);
  observer?.discarded?.(entry);
  return { done: 0, again: true };
}
