import type { Message } from '@bufbuild/protobuf';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { REMEMBERED_COMMANDS, sameFingerprint } from '../../src/eventstore/command-log.ts';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { numberOf, versionAt } from '../../src/eventstore/position.ts';
import type { Decision, Event as StoredEvent } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { fingerprintOf, type Operation } from './history.ts';
import { type AuditReport, addViolation } from './report.ts';

/** A state that an aggregate went through: what one decision left. */
export interface Step<State> {
  readonly state: State;
  /** Of the commit that holds the decision; 0 = before the first. */
  readonly version: number;
  readonly commandId: string;
}

/** Where a command is stored. */
export interface StoredDecision {
  readonly aggregate: string;
  readonly version: number;
  /** Index among the aggregate's steps, at least 1. */
  readonly step: number;
  readonly fingerprint: Uint8Array;
}

/** What there is at the end. */
export interface StoredLog {
  /** All of them, in order. */
  readonly commits: readonly RecordedCommit[];
  /** How many messages of the log's own lie between them. */
  readonly controls: number;
}

/** The final log, folded again from its beginning. */
export interface Replay<State> {
  /** Every aggregate's states in order, the initial one first. */
  readonly steps: ReadonlyMap<string, readonly Step<State>[]>;
  readonly stored: ReadonlyMap<string, readonly StoredDecision[]>;
}

/** What the auditor knows of the aggregate's kind and of what was asked. */
export interface Asked<State, Command, Event extends Message, R extends Rejection> {
  readonly decider: Decider<State, Command, Event, R>;
  readonly byCommandId: ReadonlyMap<string, readonly Operation<Command>[]>;
}

/**
 * Folds the log and decides every stored command again on the state before it.
 * Reports gaps, broken chains, decisions that are not legal or not whole, and commands stored twice.
 */
export function replayLog<State, Command, Event extends Message, R extends Rejection>(
  asked: Asked<State, Command, Event, R>,
  { commits, controls }: StoredLog,
  report: AuditReport,
): Replay<State> {
  const steps = new Map<string, Step<State>[]>();
  const stored = new Map<string, StoredDecision[]>();
  const commitIds = new Set<string>();
  for (const [index, commit] of commits.entries()) {
    const aggregate = commit.stream.id;
    const own = getOrAdd(steps, aggregate, () => [initialStep(asked.decider)]);
    checkPlace(commit, index + controls, own.at(-1)?.version ?? 0, commitIds, report);
    report.commits++;
    for (const decision of decisionsOf(commit, report)) {
      report.decisions++;
      const next = replayDecision(
        asked,
        aggregate,
        decision,
        own.at(-1) ?? initialStep(asked.decider),
        commit,
        report,
      );
      own.push(next);
      const places = getOrAdd(stored, decision.commandId, () => []);
      const place = {
        aggregate,
        version: versionAt(commit.position),
        step: own.length - 1,
        fingerprint: decision.fingerprint,
      };
      checkOnce(decision.commandId, places.at(-1), place, report);
      places.push(place);
    }
  }
  return { steps, stored };
}

function initialStep<State>(decider: { readonly initial: State }): Step<State> {
  return { state: decider.initial, version: 0, commandId: '' };
}

function checkPlace(
  commit: RecordedCommit,
  before: number,
  version: number,
  commitIds: Set<string>,
  report: AuditReport,
): void {
  const { position, previous, stream, commitId } = commit;
  const at = numberOf(position);
  if (at > before + 1) {
    const message = `there are at the most ${before} messages before the commit at position ${at}: a gap`;
    addViolation(report, 'log', message);
  }
  if (previous !== version) {
    const message = `commit ${at} of ${stream.id} was stored behind version ${previous}, but it follows ${version}`;
    addViolation(report, 'log', message);
  }
  // Commits of several aggregates that were appended together share an id.
  const id = `${stream.id} ${commitId}`;
  if (commitIds.has(id))
    addViolation(report, 'log', `the commit id ${commitId} is used again at ${numberOf(position)}`);
  commitIds.add(id);
}

function decisionsOf(commit: RecordedCommit, report: AuditReport): readonly Decision[] {
  try {
    return commit.decisions;
  } catch (error) {
    addViolation(report, 'log', String(error));
    return [];
  }
}

function replayDecision<State, Command, Event extends Message, R extends Rejection>(
  asked: Asked<State, Command, Event, R>,
  aggregate: string,
  decision: Decision,
  before: Step<State>,
  commit: RecordedCommit,
  report: AuditReport,
): Step<State> {
  const { decider } = asked;
  const codec = codecOf<Event>(decider);
  const { commandId, fingerprint } = decision;
  const operation = asked.byCommandId
    .get(commandId)
    ?.find((op) => op.aggregate === aggregate && sameFingerprint(fingerprint, fingerprintOf(op.command)));
  const where = `${commandId} at version ${numberOf(commit.position)} of ${aggregate}`;
  if (operation === undefined) {
    addViolation(report, 'refused-stored', `nobody asked for ${where}`);
  } else {
    const outcome = decider.decide(operation.command, before.state);
    const legal = Array.isArray(outcome) ? outcome.map((event) => codec.encode(event)) : [];
    if (legal.length === 0 || !sameEvents(legal, decision.events)) {
      const command = JSON.stringify(operation.command);
      const what = `${where}: ${command} on ${JSON.stringify(before.state)} does not come to what is stored`;
      addViolation(report, 'illegal', what);
    }
  }
  const state = decision.events.map((stored) => codec.decode(stored)).reduce(decider.evolve, before.state);
  return { state, version: numberOf(commit.position), commandId };
}

function sameEvents(a: readonly StoredEvent[], b: readonly StoredEvent[]): boolean {
  const same = (x: StoredEvent, y: StoredEvent | undefined): boolean =>
    x.type === y?.type && x.schemaVersion === y.schemaVersion && Buffer.compare(x.data, y.data) === 0;
  return a.length === b.length && a.every((event, i) => same(event, b[i]));
}

function checkOnce(
  commandId: string,
  earlier: StoredDecision | undefined,
  again: StoredDecision,
  report: AuditReport,
): void {
  if (earlier === undefined) return;
  if (earlier.aggregate === again.aggregate && mayBeForgotten(earlier, again.step - 1)) {
    report.forgotten++;
    return;
  }
  const message = `${commandId} is at version ${earlier.version} and again at ${again.version} of ${again.aggregate}`;
  addViolation(report, 'duplicated', message);
}

/** Whether an aggregate need not remember a command any more in the state that step `now` left. Its first is never forgotten. */
export function mayBeForgotten(stored: StoredDecision, now: number): boolean {
  return stored.step !== 1 && now - stored.step >= REMEMBERED_COMMANDS;
}

function getOrAdd<V>(map: Map<string, V>, key: string, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
