import { isDeepStrictEqual } from 'node:util';
import type { Message } from '@bufbuild/protobuf';
import { sameFingerprint } from '../../src/eventstore/command-log.ts';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { fingerprintOf, type Operation, type Outcome } from './history.ts';
import { type Asked, mayBeForgotten, type Replay, replayLog, type Step } from './replay.ts';
import { type AuditReport, addViolation, emptyReport, type Fault } from './report.ts';
import { existsDuring, type Windows, windowsOf } from './windows.ts';

/** Everything that is needed to judge a call. */
interface Case<State, Command, Event extends Message, R extends Rejection>
  extends Asked<State, Command, Event, R> {
  readonly replay: Replay<State>;
  readonly windows: Windows;
  readonly report: AuditReport;
}

type Answered<Command, K extends Outcome['kind']> = Operation<Command> & {
  readonly completedAt: number;
  readonly outcome: Extract<Outcome, { kind: K }>;
};

/**
 * Judges what writers were told against the log that is there at the end. Pure.
 * @param operations every call of every writer, in any order
 * @param commits the whole log in order
 */
export function checkHistory<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  operations: readonly Operation<Command>[],
  commits: readonly RecordedCommit[],
): AuditReport {
  const report = emptyReport();
  const byCommandId = byCommand(operations);
  const asked = { decider, byCommandId };
  const replay = replayLog(asked, commits, report);
  const windows = windowsOf(replay, operations, report);
  const it = { ...asked, replay, windows, report };
  for (const operation of operations) checkOperation(it, operation);
  for (const [commandId, calls] of byCommandId) checkCommand(it, commandId, calls);
  return report;
}

function byCommand<Command>(operations: readonly Operation<Command>[]): Map<string, Operation<Command>[]> {
  const grouped = new Map<string, Operation<Command>[]>();
  for (const op of operations) {
    const calls = grouped.get(op.commandId);
    if (calls === undefined) grouped.set(op.commandId, [op]);
    else calls.push(op);
  }
  return grouped;
}

function checkOperation<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  op: Operation<C>,
): void {
  const { report } = it;
  report.attempted++;
  const { outcome, completedAt } = op;
  if (outcome === undefined || completedAt === undefined) return;
  const answered = { ...op, completedAt };
  switch (outcome.kind) {
    case 'accepted':
      report.acknowledged++;
      if (outcome.repeated) report.repeated++;
      return checkAccepted(it, { ...answered, outcome });
    case 'unchanged':
      report.unchanged++;
      return checkSilent(it, { ...answered, outcome }, (state) => {
        const decided = it.decider.decide(op.command, state);
        return Array.isArray(decided) && decided.length === 0 && isDeepStrictEqual(state, outcome.state);
      });
    case 'rejected':
      report.rejected++;
      return checkSilent(it, { ...answered, outcome }, (state) => {
        const decided = it.decider.decide(op.command, state);
        return !Array.isArray(decided) && (decided as R).code === outcome.code;
      });
    case 'conflict':
      report.conflicts++;
      return checkSilent(it, { ...answered, outcome }, (_, version) => version === outcome.actual);
    case 'key-reused':
      report.keyReused++;
      return checkReused(it, op);
    case 'not-sent':
      report.notSent++;
      return;
    case 'unknown':
      return;
  }
}

function checkAccepted<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  op: Answered<C, 'accepted'>,
): void {
  const fail = failures(it.report, op);
  const { version, state } = op.outcome;
  const places = it.replay.stored.get(op.commandId) ?? [];
  if (places.length === 0) return fail('lost', `was accepted at version ${version} and is not in the log`);
  const place = places.find((p) => p.aggregate === op.aggregate && p.version === version);
  if (place === undefined) {
    return fail(
      'answer',
      `was accepted at version ${version} and is stored at ${places.map((p) => p.version)}`,
    );
  }
  if (!sameFingerprint(place.fingerprint, fingerprintOf(op.command))) {
    return fail('answer', `was accepted, but another command is stored under its id`);
  }
  const left = it.replay.steps.get(op.aggregate)?.[place.step]?.state;
  if (!isDeepStrictEqual(left, state)) {
    fail(
      'answer',
      `was told the state ${JSON.stringify(state)} and left ${JSON.stringify(left)} at version ${version}`,
    );
  }
}

/** An answer without an append must have been right for the state that it names, at some moment of its call. */
function checkSilent<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  op: Answered<C, 'unchanged' | 'rejected' | 'conflict'>,
  isRight: (state: S, version: number) => boolean,
): void {
  const fail = failures(it.report, op);
  const { outcome, invokedAt, completedAt } = op;
  const version = outcome.kind === 'conflict' ? outcome.actual : outcome.version;
  const steps = it.replay.steps.get(op.aggregate) ?? [
    { state: it.decider.initial, version: 0, commandId: '' } satisfies Step<S>,
  ];
  const windows = it.windows.get(op.aggregate) ?? [{ from: 0, until: Number.POSITIVE_INFINITY }];
  const first = firstStep(steps, version);
  if (steps[first]?.version !== version)
    return fail('stale', `names version ${version}, which does not exist`);
  let right = false;
  // A call that shared a commit was decided on the state before that commit or between its decisions.
  for (
    let i = Math.max(0, first - 1);
    i < steps.length && (steps[i]?.version ?? 0) <= version && !right;
    i++
  ) {
    const step = steps[i];
    right =
      step !== undefined &&
      existsDuring(windows[i], invokedAt, completedAt) &&
      isRight(step.state, step.version);
  }
  if (!right) {
    const window = windows[Math.max(first, 0)];
    fail(
      'stale',
      `at version ${version} (current from ${window?.from} to ${window?.until} at the most) is right for no state between ${invokedAt} and ${completedAt}`,
    );
  }
  checkRemembered(it, op, steps, windows, fail);
}

function checkRemembered<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  op: Answered<C, 'unchanged' | 'rejected' | 'conflict'>,
  steps: readonly Step<S>[],
  windows: readonly { readonly from: number; readonly until: number }[],
  fail: Fail,
): void {
  const places = it.replay.stored.get(op.commandId);
  if (places === undefined) return;
  let newest = steps.length - 1;
  while (newest > 0 && (windows[newest]?.from ?? 0) > op.completedAt) newest--;
  for (const place of places) {
    // The step before ends when this one is known to be stored.
    const storedBy = windows[place.step - 1]?.until ?? Number.POSITIVE_INFINITY;
    if (place.aggregate !== op.aggregate || storedBy >= op.invokedAt || mayBeForgotten(place, newest))
      continue;
    fail('repeat', `although it was already stored at version ${place.version}`);
  }
}

function checkReused<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  op: Operation<C>,
): void {
  const places = it.replay.stored.get(op.commandId) ?? [];
  if (places.some((place) => !sameFingerprint(place.fingerprint, fingerprintOf(op.command)))) return;
  failures(it.report, op)('answer', 'but no other command is stored under its id');
}

/** What all calls of one command come to together. */
function checkCommand<S, C, E extends Message, R extends Rejection>(
  it: Case<S, C, E, R>,
  commandId: string,
  calls: readonly Operation<C>[],
): void {
  const { report } = it;
  const stored = it.replay.stored.get(commandId)?.length ?? 0;
  const inDoubt = calls.some(({ outcome }) => outcome === undefined || outcome.kind === 'unknown');
  const firsts = calls.filter(({ outcome }) => outcome?.kind === 'accepted' && !outcome.repeated).length;
  if (inDoubt && stored > 0) report.unknownStored++;
  if (inDoubt && stored === 0) report.unknownNotStored++;
  if (stored > 0 && firsts === 0 && !inDoubt) {
    const answers = calls.map(({ outcome }) => outcome?.kind).join(', ');
    addViolation(
      report,
      'refused-stored',
      `${commandId} is in the log, but its calls were answered: ${answers}`,
    );
  }
  if (stored > 0 && firsts > stored) {
    const message = `${commandId} is stored ${stored} times and was answered ${firsts} times as if for the first time`;
    addViolation(report, 'repeat', message);
  }
}

type Fail = (fault: Fault, what: string) => void;

function failures(report: AuditReport, op: Operation<unknown>): Fail {
  return (fault, what) => {
    const call = `${op.outcome?.kind} ${op.commandId} (call ${op.call}) on ${op.aggregate}`;
    addViolation(report, fault, `${call}: ${JSON.stringify(op.command)} ${what}`);
  };
}

/** Index of the first step with at least this version; steps are in the order of versions. */
function firstStep(steps: readonly Step<unknown>[], version: number): number {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((steps[middle]?.version ?? 0) < version) low = middle + 1;
    else high = middle;
  }
  return low;
}
