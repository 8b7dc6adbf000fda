import { isAfter, type RecordedCommit } from '../../eventstore/index.ts';
import { type DeadLetterReason, describeDeadLetter, entryKey } from './dead-letters/entry.ts';
import { actOnDeadLetter, isActionable } from './dead-letters/redrive.ts';
import type { Handle, OwnedGroup } from './delivery.ts';
import { OwnershipLost } from './errors.ts';
import type { LaneResult, LaneTask } from './lanes.ts';
import { toBytes } from './rows.ts';
import { persist } from './signal.ts';

/**
 * Makes dead letters of commits of one aggregate; when it returns they are stored. All in one write, unless one of them
 * has an entry.
 * @throws what `DeadLetters.write` throws
 */
export async function writeDeadLetters(
  owned: OwnedGroup,
  commits: readonly RecordedCommit[],
  reason: Omit<DeadLetterReason, 'write' | 'lastAt'>,
): Promise<void> {
  const expected = commits.map((commit) => ({ commit, expectedRevision: 0 }));
  if (await owned.deadLetters.write(expected.map((one) => rowOf(owned, one, reason)))) return;
  for (const { commit } of expected) await writeDeadLetter(owned, commit, reason);
}

async function writeDeadLetter(
  owned: OwnedGroup,
  commit: RecordedCommit,
  reason: Omit<DeadLetterReason, 'write' | 'lastAt'>,
): Promise<void> {
  const { runtime, signal, bucket, index, deadLetters } = owned;
  for (;;) {
    const key = entryKey(owned.consumer.name, commit.stream, commit.position);
    const row = await persist({ runtime, signal }, () => bucket.get(key, { leader: true }));
    if (row !== undefined) index.apply(row);
    if (row !== undefined && row.value.length > 0) return;
    // Either nothing, or what is left of an entry that was redriven before the cursor was set back.
    const one = { commit, expectedRevision: row?.revision ?? 0 };
    if (await deadLetters.write([rowOf(owned, one, reason)])) return;
  }
}

function rowOf(
  { consumer, runtime }: OwnedGroup,
  { commit, expectedRevision }: { commit: RecordedCommit; expectedRevision: number },
  reason: Omit<DeadLetterReason, 'write' | 'lastAt'>,
) {
  const entry = describeDeadLetter(consumer, commit, {
    ...reason,
    lastAt: runtime.now(),
    write: runtime.id(),
  });
  const key = entryKey(consumer.name, commit.stream, commit.position);
  return { key, value: toBytes(entry), expectedRevision };
}

/** Commits that become dead letters behind an earlier one in one write. */
const BEHIND_AT_ONCE = 50;

/** Delivers what is first in a lane: dead letters of its aggregate, then the next commit. Never rejects. */
export function createLaneDelivery(
  owned: OwnedGroup,
  handle: Handle,
): (task: LaneTask) => Promise<LaneResult> {
  const { consumer, index, marked, stored, alive, signal, lost } = owned;

  const deliver = async (task: LaneTask): Promise<LaneResult> => {
    const { stream, commits, attempt } = task;
    const marks = index.of(consumer.name, stream);
    const [first] = marks;
    if (first !== undefined && isActionable(first, marked) && !isAfter(first.position, stored())) {
      return actOnDeadLetter(owned, handle, first, task);
    }
    const [commit] = commits;
    if (commit === undefined) return { done: 0 };
    if (isPassed(owned, commit)) return { done: 1 };
    const last = marks.at(-1);
    if (last === undefined) return handleNext(owned, handle, commit, task);
    if (isAfter(commit.position, last.position)) return writeBehind(owned, untilPassed(owned, commits));
    tell(owned, commit, attempt, 'known');
    return { done: 1 };
  };

  return async (task) => {
    if (!alive()) {
      lost(new OwnershipLost(`A group of ${consumer.name}`));
      return { done: 0 };
    }
    try {
      return await deliver(task);
    } catch (error) {
      // Nothing could be written any more: what was begun is repeated by the next owner.
      if (signal.aborted) return { done: 0 };
      if (!(error instanceof OwnershipLost)) return { stop: error };
      lost(error);
      return { done: 0 };
    }
  };
}

/** Whether nothing is to be handled: it is a foreign message, or operators have marked it. */
function isPassed({ marked }: OwnedGroup, { foreign, position }: RecordedCommit): boolean {
  return foreign !== undefined || marked.known.skipped.has(position);
}

/** The commits up to the first that is passed, as many as are written at once. */
function untilPassed(owned: OwnedGroup, commits: readonly RecordedCommit[]): readonly RecordedCommit[] {
  const some = commits.slice(0, BEHIND_AT_ONCE);
  const end = some.findIndex((commit) => isPassed(owned, commit));
  return end < 0 ? some : some.slice(0, end);
}

async function handleNext(
  owned: OwnedGroup,
  handle: Handle,
  commit: RecordedCommit,
  { attempt, givenUp, failingSince }: LaneTask,
): Promise<LaneResult> {
  const redelivered = !isAfter(commit.position, owned.resumedAt);
  const maybeHandled = !isAfter(commit.position, owned.handledUpTo);
  const consumer = owned.consumer.name;
  const tried = { consumer, commit, attempt, redriven: false, redelivered, maybeHandled };
  const result = givenUp ? { deadLetter: givenUp.error } : await handle(tried);
  if ('handled' in result) return { done: 1 };
  if (!('deadLetter' in result)) return result;
  await persist(owned, async () => owned.timers?.armAll(commit.stream.id));
  await writeDeadLetters(owned, [commit], {
    behind: false,
    error: result.deadLetter,
    attempts: givenUp ? attempt - 1 : attempt,
    firstAt: failingSince ?? owned.runtime.now(),
  });
  return { done: 1 };
}

async function writeBehind(owned: OwnedGroup, commits: readonly RecordedCommit[]): Promise<LaneResult> {
  await writeDeadLetters(owned, commits, { behind: true, error: undefined, attempts: 0, firstAt: 0 });
  for (const commit of commits) tell(owned, commit, 1, 'behind');
  return { done: commits.length };
}

function tell(
  { consumer, observer }: OwnedGroup,
  commit: RecordedCommit,
  attempt: number,
  outcome: 'known' | 'behind',
): void {
  observer?.outcome?.({ consumer: consumer.name, commit, attempt, redriven: false }, outcome);
}
