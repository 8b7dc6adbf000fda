import { isDeepStrictEqual } from 'node:util';
import type { History, Operation, Read, ReadOfHead, ReadOfState } from './history.ts';
import type { Replay, Step } from './replay.ts';
import { type AuditReport, addViolation } from './report.ts';
import { askedAt, claimedVersion, countWhile, existsDuring, type Windows } from './windows.ts';

/**
 * Reports confirmed reads that were not right at any moment between call and answer. With the log as the one order of
 * all versions this is the whole of linearizability: a contradiction is always between two calls, one that was told of
 * a version and a later one that was told of an older, or one that was told of a version before it was asked for.
 */
export function judgeReads<State>(
  evidence: {
    readonly decider: { readonly initial: State };
    readonly replay: Replay<State>;
    readonly windows: Windows;
  },
  history: History<unknown>,
  report: AuditReport,
): void {
  const ends = knownEnds(history);
  judgeOrder(ends, history.operations, evidence.replay, report);
  for (const read of history.reads) {
    if (read.read === 'failed') {
      report.failedReads++;
      continue;
    }
    report.reads++;
    if (read.read === 'head') judgeHead(ends, read, report);
    else judgeState(evidence, read, report);
  }
}

function judgeState<State>(
  { decider, replay, windows }: Parameters<typeof judgeReads<State>>[0],
  read: ReadOfState,
  report: AuditReport,
): void {
  const { aggregate, version, state } = read;
  const steps: readonly Step<State>[] = replay.steps.get(aggregate) ?? [
    { state: decider.initial, version: 0, commandId: '' },
  ];
  const where = `${told(read)} version ${version} of ${aggregate}`;
  // Nobody is shown what lies between the decisions of a commit.
  const index = countWhile(steps, (step) => step.version <= version) - 1;
  const step = steps[index];
  if (step?.version !== version) {
    addViolation(report, 'answer', `${where}, which does not exist`);
    return;
  }
  if (!isDeepStrictEqual(step.state, state)) {
    const what = `with ${JSON.stringify(state)} instead of ${JSON.stringify(step.state)}`;
    addViolation(report, 'answer', `${where} ${what}`);
  }
  const window = windows.get(aggregate)?.[index];
  if (window === undefined || existsDuring(window, read.invokedAt, read.completedAt)) return;
  const current = `current from ${window.from} to ${window.until} at the most`;
  addViolation(report, 'stale-read', `${where}, ${current}`);
}

/** Up to where the log was known to reach from some time on; both grow. */
interface Known {
  readonly at: number;
  readonly position: number;
}

/** What callers and readers had been told, one after the other. */
function knownEnds({ operations, reads }: History<unknown>): readonly Known[] {
  const told: { at: number; position: number }[] = [];
  for (const { completedAt, outcome } of operations) {
    const position = outcome === undefined ? undefined : claimedVersion(outcome);
    if (position !== undefined && completedAt !== undefined) told.push({ at: completedAt, position });
  }
  for (const read of reads) {
    if (read.read !== 'failed') told.push({ at: read.completedAt, position: read.version });
  }
  told.sort((a, b) => a.at - b.at);
  let highest = 0;
  for (const entry of told) {
    highest = Math.max(highest, entry.position);
    entry.position = highest;
  }
  return told;
}

function knownBefore(ends: readonly Known[], time: number): Known {
  return ends[countWhile(ends, ({ at }) => at < time) - 1] ?? { at: 0, position: 0 };
}

/** The one log is the order of all aggregates' commits: nothing is stored behind what was told before it was asked for. */
function judgeOrder(
  ends: readonly Known[],
  operations: readonly Operation<unknown>[],
  { stored }: Replay<unknown>,
  report: AuditReport,
): void {
  const asked = askedAt(operations);
  for (const [commandId, places] of stored) {
    const time = asked.get(commandId) ?? 0;
    const before = knownBefore(ends, time);
    for (const { version, aggregate } of places) {
      if (version > before.position) continue;
      const what = `was asked for at ${time}, after ${before.position} had been told by ${before.at}`;
      addViolation(report, 'order', `${commandId} at version ${version} of ${aggregate} ${what}`);
    }
  }
}

function judgeHead(ends: readonly Known[], read: ReadOfHead, report: AuditReport): void {
  const before = knownBefore(ends, read.invokedAt);
  if (before.position <= read.version) return;
  const what = `although ${before.position} had been told by ${before.at}`;
  addViolation(report, 'stale-read', `${told(read)} the log's end ${read.version}, ${what}`);
}

function told({ reader, invokedAt, completedAt }: Exclude<Read, { read: 'failed' }>): string {
  return `${reader}, who read from ${invokedAt} to ${completedAt}, was told`;
}
