import type { Message } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';
import type { History, Operation } from './history.ts';
import { type Evidence, type Finding, judgeAccepted, judgeReused, judgeSilent } from './judge.ts';
import { judgeReads } from './reads.ts';
import { type Replay, replayLog, type StoredLog } from './replay.ts';
import { type AuditReport, addViolation, emptyReport } from './report.ts';
import { windowsOf } from './windows.ts';

/**
 * Judges what writers were told against the log that is there at the end. Pure.
 * @param history every call and read of every writer, in any order
 */
export function checkHistory<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  history: History<Command>,
  log: StoredLog,
): AuditReport {
  const { operations } = history;
  const report = emptyReport();
  const byCommandId = groupByCommand(operations);
  const replay = replayLog({ decider, byCommandId }, log, report);
  const evidence = { decider, byCommandId, replay, windows: windowsOf(replay, history) };
  for (const operation of operations) {
    countAnswer(report, operation);
    for (const { fault, what } of findingsOf(evidence, operation)) {
      const { outcome, commandId, call, aggregate, command } = operation;
      const subject = `${outcome?.kind} ${commandId} (call ${call}) on ${aggregate}`;
      addViolation(report, fault, `${subject}: ${JSON.stringify(command)} ${what}`);
    }
  }
  for (const [commandId, calls] of byCommandId) checkCommand(replay, commandId, calls, report);
  judgeReads(evidence, history, report);
  return report;
}

function groupByCommand<Command>(
  operations: readonly Operation<Command>[],
): ReadonlyMap<string, readonly Operation<Command>[]> {
  const grouped = new Map<string, Operation<Command>[]>();
  for (const operation of operations) {
    const calls = grouped.get(operation.commandId);
    if (calls === undefined) grouped.set(operation.commandId, [operation]);
    else calls.push(operation);
  }
  return grouped;
}

function countAnswer(report: AuditReport, { outcome }: Operation<unknown>): void {
  report.attempted++;
  switch (outcome?.kind) {
    case 'accepted':
      report.acknowledged++;
      if (outcome.repeated) report.repeated++;
      break;
    case 'unchanged':
      report.unchanged++;
      break;
    case 'rejected':
      report.rejected++;
      break;
    case 'conflict':
      report.conflicts++;
      break;
    case 'key-reused':
      report.keyReused++;
      break;
    case 'not-sent':
      report.notSent++;
      break;
    case 'unknown':
    case undefined:
      // Counted once per command, when it is known whether it is stored.
      break;
  }
}

function findingsOf<S, C, E extends Message, R extends Rejection>(
  evidence: Evidence<S, C, E, R>,
  operation: Operation<C>,
): Finding[] {
  const { outcome, completedAt } = operation;
  if (outcome === undefined || completedAt === undefined) return [];
  switch (outcome.kind) {
    case 'accepted':
      return judgeAccepted(evidence, { ...operation, completedAt, outcome });
    case 'unchanged':
    case 'rejected':
    case 'conflict':
      return judgeSilent(evidence, { ...operation, completedAt, outcome });
    case 'key-reused':
      return judgeReused(evidence, operation);
    case 'not-sent':
    case 'unknown':
      return [];
  }
}

/** What all calls of one command come to together. */
function checkCommand(
  replay: Replay<unknown>,
  commandId: string,
  calls: readonly Operation<unknown>[],
  report: AuditReport,
): void {
  const stored = replay.stored.get(commandId)?.length ?? 0;
  const inDoubt = calls.some(({ outcome }) => outcome === undefined || outcome.kind === 'unknown');
  const firsts = calls.filter(({ outcome }) => outcome?.kind === 'accepted' && !outcome.repeated).length;
  if (inDoubt && stored > 0) report.unknownStored++;
  if (inDoubt && stored === 0) report.unknownNotStored++;
  if (stored > 0 && firsts === 0 && !inDoubt) {
    const answers = calls.map(({ outcome }) => outcome?.kind).join(', ');
    const message = `${commandId} is in the log, but its calls were answered: ${answers}`;
    addViolation(report, 'refused-stored', message);
  }
  if (stored > 0 && firsts > stored) {
    const message = `${commandId} is stored ${stored} times and was answered ${firsts} times as if for the first time`;
    addViolation(report, 'repeat', message);
  }
}
