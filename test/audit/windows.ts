import type { Operation, Outcome } from './history.ts';
import type { Replay, Step } from './replay.ts';
import { type AuditReport, addViolation } from './report.ts';

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

/**
 * Bounds when each state was current, from the calls alone: a decision is not stored before its command was first
 * asked for, nor before its predecessor; it is stored when somebody is told of it or of a later one.
 * Reports where both bounds contradict each other.
 */
export function windowsOf<State>(
  replay: Replay<State>,
  operations: readonly Operation<unknown>[],
  report: AuditReport,
): Windows {
  const asked = new Map<string, number>();
  const told = new Map<string, Map<number, number>>();
  for (const { commandId, invokedAt, aggregate, completedAt, outcome } of operations) {
    asked.set(commandId, Math.min(asked.get(commandId) ?? Number.POSITIVE_INFINITY, invokedAt));
    const version = outcome === undefined ? undefined : claimedVersion(outcome);
    if (version === undefined || completedAt === undefined) continue;
    const versions = told.get(aggregate) ?? new Map<number, number>();
    versions.set(version, Math.min(versions.get(version) ?? Number.POSITIVE_INFINITY, completedAt));
    told.set(aggregate, versions);
  }
  const windows = new Map<string, Window[]>();
  for (const [aggregate, steps] of replay.steps) {
    windows.set(aggregate, stepWindows(aggregate, steps, asked, told.get(aggregate) ?? new Map(), report));
  }
  return windows;
}

function stepWindows<State>(
  aggregate: string,
  steps: readonly Step<State>[],
  asked: ReadonlyMap<string, number>,
  told: ReadonlyMap<number, number>,
  report: AuditReport,
): Window[] {
  const earliest = earliestStored(steps, asked);
  const latest = latestStored(steps, told);
  // Every later step inherits the contradiction, so it is told once.
  const wrong = steps.findIndex((_, i) => (earliest[i] ?? 0) > (latest[i] ?? Number.POSITIVE_INFINITY));
  if (wrong > 0) {
    const { commandId, version } = steps[wrong] ?? { commandId: '', version: 0 };
    const message = `${commandId} at version ${version} of ${aggregate}, or one before it, was asked for only after a caller had been told of that version or a later one`;
    addViolation(report, 'order', message);
  }
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
