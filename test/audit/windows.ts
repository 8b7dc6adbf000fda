import type { History, Operation, Outcome } from './history.ts';
import type { Replay, Step } from './replay.ts';

/** When the state that a step left can have been the current one, in microseconds. */
export interface Window {
  readonly from: number;
  readonly until: number;
}

/** The windows of an aggregate's steps, in the same order. */
export type Windows = ReadonlyMap<string, readonly Window[]>;

/** The version that an outcome says the aggregate had. */
export function claimedVersion(outcome: Outcome): number | undefined {
  if (outcome.kind === 'conflict') return outcome.actual;
  return outcome.kind === 'not-sent' || outcome.kind === 'unknown' ? undefined : outcome.version;
}

/** When each command was first asked for. */
export function askedAt(operations: readonly Operation<unknown>[]): ReadonlyMap<string, number> {
  const asked = new Map<string, number>();
  for (const { commandId, invokedAt } of operations) {
    asked.set(commandId, Math.min(asked.get(commandId) ?? Number.POSITIVE_INFINITY, invokedAt));
  }
  return asked;
}

/**
 * Bounds when each state was current, from the calls alone: a decision is not stored before its command was first
 * asked for, nor before its predecessor; it is stored when somebody is told of it or of a later one, also by a read.
 */
export function windowsOf<State>(replay: Replay<State>, { operations, reads }: History<unknown>): Windows {
  const told = new Map<string, Map<number, number>>();
  const tell = (aggregate: string, version: number, at: number): void => {
    const versions = told.get(aggregate) ?? new Map<number, number>();
    versions.set(version, Math.min(versions.get(version) ?? Number.POSITIVE_INFINITY, at));
    told.set(aggregate, versions);
  };
  for (const { aggregate, completedAt, outcome } of operations) {
    const version = outcome === undefined ? undefined : claimedVersion(outcome);
    if (version !== undefined && completedAt !== undefined) tell(aggregate, version, completedAt);
  }
  for (const read of reads) {
    if (read.read === 'state') tell(read.aggregate, read.version, read.completedAt);
  }
  const asked = askedAt(operations);
  const windows = new Map<string, Window[]>();
  for (const [aggregate, steps] of replay.steps) {
    windows.set(aggregate, stepWindows(steps, asked, told.get(aggregate) ?? new Map()));
  }
  return windows;
}

function stepWindows<State>(
  steps: readonly Step<State>[],
  asked: ReadonlyMap<string, number>,
  told: ReadonlyMap<number, number>,
): Window[] {
  const earliest = earliestStored(steps, asked);
  const latest = latestStored(steps, told);
  return steps.map((_, i) => ({ from: earliest[i] ?? 0, until: latest[i + 1] ?? Number.POSITIVE_INFINITY }));
}

/** A commit is stored at once, so each of its steps is as late as the last of its commands. */
function earliestStored(steps: readonly Step<unknown>[], asked: ReadonlyMap<string, number>): number[] {
  const earliest = steps.map(() => 0);
  let before = 0;
  for (let i = 1; i < steps.length; ) {
    const version = steps[i]?.version;
    let end = i;
    for (; end < steps.length && steps[end]?.version === version; end++) {
      before = Math.max(before, asked.get(steps[end]?.commandId ?? '') ?? 0);
    }
    earliest.fill(before, i, end);
    i = end;
  }
  return earliest;
}

function latestStored(steps: readonly Step<unknown>[], told: ReadonlyMap<number, number>): number[] {
  const claims = [...told].sort(([a], [b]) => b - a);
  const latest = steps.map(() => Number.POSITIVE_INFINITY);
  let next = 0;
  let bound = Number.POSITIVE_INFINITY;
  for (let i = steps.length - 1; i >= 0; i--) {
    const version = steps[i]?.version ?? 0;
    for (let claim = claims[next]; claim !== undefined && claim[0] >= version; claim = claims[++next]) {
      bound = Math.min(bound, claim[1]);
    }
    latest[i] = bound;
  }
  return latest;
}

/** Whether a state was possibly the current one at some moment of a call. */
export function existsDuring(window: Window | undefined, invokedAt: number, completedAt: number): boolean {
  return window !== undefined && window.from <= completedAt && window.until >= invokedAt;
}

/** How many entries `holds` is true of, where it is true of none behind the first that it is false of. */
export function countWhile<T>(entries: readonly T[], holds: (entry: T) => boolean): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry !== undefined && holds(entry)) low = middle + 1;
    else high = middle;
  }
  return low;
}
