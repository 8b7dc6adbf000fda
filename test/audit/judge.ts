import { isDeepStrictEqual } from 'node:util';
import type { Message } from '@bufbuild/protobuf';
import { sameFingerprint } from '../../src/eventstore/command-log.ts';
import type { Rejection } from '../../src/eventstore/decider.ts';
import { fingerprintOf, type Operation, type Outcome } from './history.ts';
import { type Asked, mayBeForgotten, type Replay, type Step } from './replay.ts';
import type { Fault } from './report.ts';
import { countWhile, existsDuring, type Window, type Windows } from './windows.ts';

/** What a call is judged by. */
export interface Evidence<State, Command, Event extends Message, R extends Rejection>
  extends Asked<State, Command, Event, R> {
  readonly replay: Replay<State>;
  readonly windows: Windows;
}

/** A call with an answer of one kind. */
export type Answered<Command, K extends Outcome['kind']> = Operation<Command> & {
  readonly completedAt: number;
  readonly outcome: Extract<Outcome, { kind: K }>;
};

/** Something that is wrong with one call. */
export interface Finding {
  readonly fault: Fault;
  readonly what: string;
}

/** An accepted command is in the log, at the version and with the state that its caller was told. */
export function judgeAccepted<S, C, E extends Message, R extends Rejection>(
  { replay }: Evidence<S, C, E, R>,
  op: Answered<C, 'accepted'>,
): Finding[] {
  const { version, state } = op.outcome;
  const places = replay.stored.get(op.commandId) ?? [];
  if (places.length === 0) {
    return [{ fault: 'lost', what: `was accepted at version ${version} and is not in the log` }];
  }
  const place = places.find((p) => p.aggregate === op.aggregate && p.version === version);
  if (place === undefined) {
    const versions = places.map((p) => p.version).join(', ');
    return [{ fault: 'answer', what: `was accepted at version ${version} and is stored at ${versions}` }];
  }
  if (!sameFingerprint(place.fingerprint, fingerprintOf(op.command))) {
    return [{ fault: 'answer', what: 'was accepted, but another command is stored under its id' }];
  }
  const left = replay.steps.get(op.aggregate)?.[place.step]?.state;
  if (isDeepStrictEqual(left, state)) return [];
  const told = `was told the state ${JSON.stringify(state)} and left ${JSON.stringify(left)}`;
  return [{ fault: 'answer', what: `${told} at version ${version}` }];
}

/** A refused key is in use by another command. */
export function judgeReused<S, C, E extends Message, R extends Rejection>(
  { replay }: Evidence<S, C, E, R>,
  op: Operation<C>,
): Finding[] {
  const places = replay.stored.get(op.commandId) ?? [];
  const used = places.some((place) => !sameFingerprint(place.fingerprint, fingerprintOf(op.command)));
  return used ? [] : [{ fault: 'answer', what: 'but no other command is stored under its id' }];
}

type Silent = 'unchanged' | 'rejected' | 'conflict';

/** An answer without an append was right for the state that it names, at some moment of its call. */
export function judgeSilent<S, C, E extends Message, R extends Rejection>(
  it: Evidence<S, C, E, R>,
  op: Answered<C, Silent>,
): Finding[] {
  const { outcome, invokedAt, completedAt } = op;
  const version = outcome.kind === 'conflict' ? outcome.actual : outcome.version;
  const steps = it.replay.steps.get(op.aggregate) ?? [
    { state: it.decider.initial, version: 0, commandId: '' },
  ];
  const windows = it.windows.get(op.aggregate) ?? [{ from: 0, until: Number.POSITIVE_INFINITY }];
  const first = countWhile(steps, (step) => step.version < version);
  if (steps[first]?.version !== version) {
    return [{ fault: 'stale', what: `names version ${version}, which does not exist` }];
  }
  // A call that shared a commit was decided on the state before that commit or between its decisions.
  let right = false;
  for (let i = Math.max(0, first - 1); !right; i++) {
    const step = steps[i];
    if (step === undefined || step.version > version) break;
    right = existsDuring(windows[i], invokedAt, completedAt) && isRight(it, op, step);
  }
  const forgotten = judgeMemory(it, op, steps, windows);
  if (right) return forgotten;
  const current = `current from ${windows[first]?.from} to ${windows[first]?.until} at the most`;
  const what = `at version ${version} (${current}) is right for no state from ${invokedAt} to ${completedAt}`;
  return [{ fault: 'stale', what }, ...forgotten];
}

function isRight<S, C, E extends Message, R extends Rejection>(
  { decider }: Evidence<S, C, E, R>,
  { command, outcome }: Answered<C, Silent>,
  step: Step<S>,
): boolean {
  if (outcome.kind === 'conflict') return step.version === outcome.actual;
  const decided = decider.decide(command, step.state);
  if (outcome.kind === 'rejected') return !Array.isArray(decided) && (decided as R).code === outcome.code;
  const nothing = Array.isArray(decided) && decided.length === 0;
  return nothing && isDeepStrictEqual(step.state, outcome.state);
}

/** A command that was stored before its call is answered from the log, as long as it is remembered. */
function judgeMemory<S, C, E extends Message, R extends Rejection>(
  { replay }: Evidence<S, C, E, R>,
  op: Answered<C, Silent>,
  steps: readonly Step<S>[],
  windows: readonly Window[],
): Finding[] {
  const places = replay.stored.get(op.commandId) ?? [];
  if (places.length === 0) return [];
  let newest = steps.length - 1;
  while (newest > 0 && (windows[newest]?.from ?? 0) > op.completedAt) newest--;
  const missed = places.filter((place) => {
    // The step before ends when this one is known to be stored.
    const storedBy = windows[place.step - 1]?.until ?? Number.POSITIVE_INFINITY;
    return place.aggregate === op.aggregate && storedBy < op.invokedAt && !mayBeForgotten(place, newest);
  });
  return missed.map(({ version }) => ({
    fault: 'repeat',
    what: `although it was already stored at version ${version}`,
  }));
}
