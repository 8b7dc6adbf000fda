import type { RecordedCommit } from '../../eventstore/index.ts';
import { type DeadLetterReason, describeDeadLetter, entryKey } from './dead-letters/entry.ts';
import { actOnDeadLetter, isActionable } from './dead-letters/redrive.ts';
import type { GroupParts, Handle } from './delivery.ts';
import { OwnershipLost } from './errors.ts';
import type { LaneResult, LaneTask } from './lanes.ts';
import { toBytes } from './rows.ts';
import { persist } from './signal.ts';

/**
 * Parks commits of one aggregate; when it returns they are stored. All in one write, unless one of them has an entry.
 * @throws what `Park.write` throws
 */
export async function writeDeadLetter(
  parts: GroupParts,
  commits: readonly RecordedCommit[],
  reason: Omit<DeadLetterReason, 'write' | 'lastAt'>,
): Promise<void> {
  const expected = commits.map((commit) => ({ commit, expectedRevision: 0 }));
  if (await parts.park.write(expected.map((one) => rowOf(parts, one, reason)))) return;
  for (const { commit } of expected) await putOneAside(parts, commit, reason);
}

async function putOneAside(
  parts: GroupParts,
  commit: RecordedCommit,
  reason: Omit<DeadLetterReason, 'write' | 'lastAt'>,
): Promise<void> {
  const { runtime, signal, bucket, index, park } = parts;
  for (;;) {
    const key = entryKey(parts.consumer.name, commit.stream, commit.position);
    const row = await persist({ runtime, signal }, () => bucket.get(key, { leader: true }));
    if (row !== undefined) index.apply(row);
    if (row !== undefined && row.value.length > 0) return;
    // Either nothing, or what is left of an entry that was redriven before the cursor was set back.
    const one = { commit, expectedRevision: row?.revision ?? 0 };
    if (await park.write([rowOf(parts, one, reason)])) return;
  }
}

function rowOf(
  { consumer, runtime }: GroupParts,
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

/** Commits that are put behind a parked one in one write. */
const BEHIND_AT_ONCE = 50;

/** Does the front of a lane: what is parked first, then the next commit. Never rejects. */
export function createPerform(parts: GroupParts, handle: Handle): (task: LaneTask) => Promise<LaneResult> {
  const { consumer, index, stored, alive, signal, lost } = parts;

  const perform = async (task: LaneTask): Promise<LaneResult> => {
    const { stream, commits, attempt } = task;
    const marks = index.of(consumer.name, stream);
    const [first] = marks;
    if (first !== undefined && isActionable(first) && first.position <= stored()) {
      return actOnDeadLetter(parts, handle, first, task);
    }
    const [commit] = commits;
    if (commit === undefined) return { done: 0 };
    const last = marks.at(-1);
    if (last === undefined) return handleNext(parts, handle, commit, task);
    if (last.position < commit.position) return goBehind(parts, commits.slice(0, BEHIND_AT_ONCE));
    tell(parts, commit, attempt, 'known');
    return { done: 1 };
  };

  return async (task) => {
    if (!alive()) {
      lost(new OwnershipLost(`A group of ${consumer.name}`));
      return { done: 0 };
    }
    try {
      return await perform(task);
    } catch (error) {
      // Nothing could be written any more: what was begun is repeated by the next owner.
      if (signal.aborted) return { done: 0 };
      if (!(error instanceof OwnershipLost)) return { stop: error };
      lost(error);
      return { done: 0 };
    }
  };
}

async function handleNext(
  parts: GroupParts,
  handle: Handle,
  commit: RecordedCommit,
  { attempt, spilled, failingSince }: LaneTask,
): Promise<LaneResult> {
  const redelivered = commit.position <= parts.resumedAt;
  const work = { consumer: parts.consumer.name, commit, attempt, redriven: false, redelivered };
  const result = spilled ? { park: spilled.error } : await handle(work);
  if ('handled' in result) return { done: 1 };
  if (!('park' in result)) return result;
  await writeDeadLetter(parts, [commit], {
    behind: false,
    error: result.park,
    attempts: spilled ? attempt - 1 : attempt,
    firstAt: failingSince ?? parts.runtime.now(),
  });
  return { done: 1 };
}

async function goBehind(parts: GroupParts, commits: readonly RecordedCommit[]): Promise<LaneResult> {
  await writeDeadLetter(parts, commits, { behind: true, error: undefined, attempts: 0, firstAt: 0 });
  for (const commit of commits) tell(parts, commit, 1, 'behind');
  return { done: commits.length };
}

function tell(
  { consumer, observer }: GroupParts,
  commit: RecordedCommit,
  attempt: number,
  outcome: 'known' | 'behind',
): void {
  observer?.outcome?.({ consumer: consumer.name, commit, attempt, redriven: false }, outcome);
}
