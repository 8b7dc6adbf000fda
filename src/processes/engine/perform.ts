import type { RecordedCommit } from '../../eventstore/log.ts';
import { OwnershipLost } from './errors.ts';
import type { GroupParts } from './group-parts.ts';
import type { Handle } from './handle.ts';
import type { LaneResult, LaneTask } from './lane-types.ts';
import { putAside } from './put-aside.ts';
import { actOnParked, isActionable } from './redrive.ts';

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
      return actOnParked(parts, handle, first, task);
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
  await putAside(parts, [commit], {
    behind: false,
    error: result.park,
    attempts: spilled ? attempt - 1 : attempt,
    firstAt: failingSince ?? parts.runtime.now(),
  });
  return { done: 1 };
}

async function goBehind(parts: GroupParts, commits: readonly RecordedCommit[]): Promise<LaneResult> {
  await putAside(parts, commits, { behind: true, error: undefined, attempts: 0, firstAt: 0 });
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
