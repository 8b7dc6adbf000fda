import type { Message } from '@bufbuild/protobuf';
import type { Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { codecOf } from './codec/event-codec.ts';
import { decisionOf } from './codec/stored-commit.ts';
import type { CommandMeta, CommandResult, Expectation } from './command.ts';
import { recallAsked, sameFingerprint } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CorruptCommit } from './errors.ts';
import type { Folded } from './fold.ts';
import type { Log } from './log.ts';
import { positionOfVersion } from './position.ts';
import type { States } from './states.ts';
import { keyOf, type StreamRef } from './stream.ts';

/** A command and what it came with. */
export interface Asked<Command> {
  readonly command: Command;
  readonly meta: CommandMeta;
  readonly expected: Expectation;
}

/** What one command comes to when decided on a state that may be stale. */
export type Planned<State, Event, R> =
  | {
      readonly kind: 'events';
      readonly events: readonly Event[];
      readonly state: State;
      readonly decision: Decision;
    }
  /** Another command of the same commit has this id. */
  | { readonly kind: 'same-as'; readonly index: number }
  | { readonly kind: 'unchanged'; readonly state: State }
  | { readonly kind: 'rejected'; readonly rejection: R }
  | { readonly kind: 'mismatch' }
  /** Stored before, under this id; true of any state, however stale. */
  | { readonly kind: 'stored'; readonly id: string; readonly version: number; readonly same: boolean }
  | { readonly kind: 'key-reused' }
  | { readonly kind: 'fault'; readonly error: unknown };

export interface Plan<State, Event, R> {
  readonly planned: readonly Planned<State, Event, R>[];
  /** What to append, in order; empty = nothing. */
  readonly decisions: readonly Decision[];
  /** The version everything was decided on. */
  readonly version: number;
  /** The state after all decisions. */
  readonly state: State;
}

/** Whether some answer of a plan that appends nothing needs the tail to be read before it is given. */
export function needsConfirmation(plan: Plan<unknown, unknown, unknown>): boolean {
  return plan.planned.some((p) => p.kind === 'unchanged' || p.kind === 'rejected' || p.kind === 'mismatch');
}

/**
 * Decides queued commands of one aggregate in order, each on the state the one before left.
 * Pure but for the time, which is given: `now` in milliseconds since the Unix epoch.
 */
export function planCommands<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  folded: Folded<State>,
  asked: readonly Asked<Command>[],
  now: number,
): Plan<State, Event, R> {
  const decisions: Decision[] = [];
  const planned: Planned<State, Event, R>[] = [];
  // Most commits carry one command, which no other one can be the same as.
  const inThisCommit = asked.length > 1 ? new Map<string, number>() : undefined;
  let state = folded.state;
  for (const [index, ask] of asked.entries()) {
    const next = planOne(
      decider,
      folded,
      ask,
      { state, exists: decisions.length > 0 || folded.commands.count > 0, now },
      inThisCommit,
      asked,
    );
    planned.push(next);
    if (next.kind !== 'events') continue;
    state = next.state;
    inThisCommit?.set(ask.meta.commandId, index);
    decisions.push(next.decision);
  }
  return { planned, decisions, version: folded.version, state };
}

function planOne<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  folded: Folded<State>,
  ask: Asked<Command>,
  { state, exists, now }: { readonly state: State; readonly exists: boolean; readonly now: number },
  inThisCommit: ReadonlyMap<string, number> | undefined,
  asked: readonly Asked<Command>[],
): Planned<State, Event, R> {
  const { commandId, fingerprint } = ask.meta;
  const stored = recallAsked(folded.commands, ask.meta);
  if (stored !== undefined) return { kind: 'stored', ...stored };
  const twin = inThisCommit?.get(commandId);
  if (twin !== undefined) {
    const first = asked[twin]?.meta.fingerprint ?? new Uint8Array();
    return sameFingerprint(first, fingerprint) ? { kind: 'same-as', index: twin } : { kind: 'key-reused' };
  }
  if (!holds(ask.expected, folded.version, exists)) return { kind: 'mismatch' };
  try {
    const outcome = decider.decide(ask.command, state);
    if (!isEvents(outcome)) return { kind: 'rejected', rejection: outcome };
    if (outcome.length === 0) return { kind: 'unchanged', state };
    // Encoded here, so that an event that cannot be encoded is its own caller's fault only.
    const decision = decisionOf(ask.meta, outcome.map(codecOf<Event>(decider).encode), now);
    return { kind: 'events', events: outcome, state: outcome.reduce(decider.evolve, state), decision };
  } catch (error) {
    return { kind: 'fault', error };
  }
}

function isEvents<Event, R>(outcome: readonly Event[] | R): outcome is readonly Event[] {
  return Array.isArray(outcome);
}

function holds(expected: Expectation, version: number, exists: boolean): boolean {
  if (expected === 'any') return true;
  if (expected === 'none') return !exists;
  return expected === 'exists' ? exists : expected === version;
}

/** The answer to the command at an index of a plan; a promise where the log must be asked. Throws what its decider threw. */
export type Answers<Result> = (index: number) => Result | Promise<Result>;

/**
 * Turns a plan into answers once it is known to hold.
 * @param appendedAt the version of the commit that carried the plan's decisions; undefined when there were none
 */
export function answersOf<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  plan: Plan<State, Event, R>,
  asked: readonly Asked<Command>[],
  appendedAt: number | undefined,
  deps: { readonly log: Log; readonly states: States },
): Answers<CommandResult<State, Event, R>> {
  const version = appendedAt ?? plan.version;
  const answer: Answers<CommandResult<State, Event, R>> = (index) => {
    const planned = plan.planned[index];
    const ask = asked[index];
    if (planned === undefined || ask === undefined) throw new RangeError(`No answer for command ${index}`);
    switch (planned.kind) {
      case 'events':
        return {
          outcome: 'accepted',
          version,
          state: planned.state,
          events: planned.events,
          repeated: false,
        };
      case 'same-as':
        return repeated(answer(planned.index));
      case 'unchanged':
        return { outcome: 'unchanged', version, state: planned.state };
      case 'rejected':
        return { outcome: 'rejected', rejection: planned.rejection, version };
      case 'mismatch':
        // What a later command of the same commit made of the aggregate was not there for this one.
        return {
          outcome: 'conflict',
          ...stream,
          expected: ask.expected,
          actual: ask.expected === 'exists' ? 0 : version,
        };
      case 'stored':
        if (!planned.same) return { outcome: 'key-reused', version: planned.version };
        return repeatedAnswer(decider, stream, planned.id, planned.version, deps);
      case 'key-reused':
        return { outcome: 'key-reused', version };
      case 'fault':
        throw planned.error;
    }
  };
  return answer;
}

async function repeated<State, Event extends Message, R extends Rejection>(
  answer: CommandResult<State, Event, R> | Promise<CommandResult<State, Event, R>>,
): Promise<CommandResult<State, Event, R>> {
  const first = await answer;
  return first.outcome === 'accepted' ? { ...first, repeated: true } : first;
}

/** The answer that a command was given when it was stored, rebuilt from its commit. */
export async function repeatedAnswer<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  commandId: string,
  version: number,
  deps: { readonly log: Log; readonly states: States },
): Promise<Extract<CommandResult<State, Event, R>, { outcome: 'accepted' }>> {
  const commit = await deps.log.at(positionOfVersion(version));
  const decision = commit?.decisions.find((d) => d.commandId === commandId);
  if (commit === undefined || decision === undefined) {
    throw new CorruptCommit(
      keyOf(stream),
      positionOfVersion(version),
      new Error(`command ${commandId} is not in it`),
    );
  }
  const codec = codecOf<Event>(decider);
  const events = decision.events.map(codec.decode);
  // Decisions of other callers in the same commit came before or after it.
  let { state } = await deps.states.at(decider, stream, version - 1);
  for (const each of commit.decisions.slice(0, commit.decisions.indexOf(decision) + 1)) {
    state = each.events.map((event) => codec.decode(event)).reduce(decider.evolve, state);
  }
  return { outcome: 'accepted', version, state, events, repeated: true };
}
