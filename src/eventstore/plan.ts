import type { Message } from '@bufbuild/protobuf';
import type { Decision, Event as StoredEvent } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { codecOf } from './codec/event-codec.ts';
import { decisionOf } from './codec/stored-commit.ts';
import type { CommandMeta, CommandResult, Expectation } from './command.ts';
import { recallAsked, sameFingerprint } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CorruptCommit } from './errors.ts';
import type { Folded } from './fold.ts';
import type { Log } from './log.ts';
import type { KeyRing, Lacking } from './personal/keys.ts';
import type { PersonalData } from './personal/personal-data.ts';
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
      /** Open, for the answer. */
      readonly state: State;
      /** The same as the log says it. */
      readonly kept: State;
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
  /** The state after all decisions, as the log says it: with what is sealed in it. */
  readonly state: State;
  /** Set when nothing was decided, because keys have to be fetched first. */
  readonly lacking?: Lacking | undefined;
}

/** What is needed to decide on an aggregate whose events hold personal data. */
export interface Personally {
  readonly data: PersonalData;
  /** For as long as the commands are served. */
  readonly keys: KeyRing;
  /** Of the aggregate. */
  readonly id: string;
}

/** Undefined for a decider whose events hold nothing personal. */
export function personallyOf<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  { id }: StreamRef,
  data: PersonalData,
): Personally | undefined {
  return codecOf(decider).personal ? { data, keys: data.ring(), id } : undefined;
}

/** A state twice: as the log says it, and as a decider sees it, where personal texts are open. */
interface Both<State> {
  readonly kept: State;
  readonly open: State;
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
  personal?: Personally,
): Plan<State, Event, R> {
  const { version } = folded;
  const opened = personal?.data.openNow(folded.state, personal.keys);
  const undecided = (lacking: Lacking) => ({
    planned: [],
    decisions: [],
    version,
    state: folded.state,
    lacking,
  });
  if (opened?.lacking !== undefined) return undecided(opened.lacking);
  const decisions: Decision[] = [];
  const planned: Planned<State, Event, R>[] = [];
  // Most commits carry one command, which no other one can be the same as.
  const inThisCommit = asked.length > 1 ? new Map<string, number>() : undefined;
  let state: Both<State> = { kept: folded.state, open: opened === undefined ? folded.state : opened.value };
  for (const [index, ask] of asked.entries()) {
    const exists = decisions.length > 0 || folded.commands.count > 0;
    const next = planOne(decider, folded, ask, { state, exists, now, personal }, inThisCommit, asked);
    if (next.kind === 'lacking') return undecided(next.lacking);
    planned.push(next);
    if (next.kind !== 'events') continue;
    state = { kept: next.kept, open: next.state };
    inThisCommit?.set(ask.meta.commandId, index);
    decisions.push(next.decision);
  }
  return { planned, decisions, version, state: state.kept };
}

/** What a command is decided on. */
interface On<State> {
  readonly state: Both<State>;
  readonly exists: boolean;
  readonly now: number;
  readonly personal: Personally | undefined;
}

function planOne<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  folded: Folded<State>,
  ask: Asked<Command>,
  { state, exists, now, personal }: On<State>,
  inThisCommit: ReadonlyMap<string, number> | undefined,
  asked: readonly Asked<Command>[],
): Planned<State, Event, R> | { readonly kind: 'lacking'; readonly lacking: Lacking } {
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
    const outcome = decider.decide(ask.command, state.open);
    if (!isEvents(outcome)) return { kind: 'rejected', rejection: outcome };
    if (outcome.length === 0) return { kind: 'unchanged', state: state.open };
    const lacking = personal && lackingFor(decider, outcome, personal);
    if (lacking !== undefined) return { kind: 'lacking', lacking };
    // Encoded here, so that an event that cannot be encoded is its own caller's fault only.
    const { stored, ...states } = storedBy(decider, outcome, state, personal);
    return { kind: 'events', events: outcome, decision: decisionOf(ask.meta, stored, now), ...states };
  } catch (error) {
    return { kind: 'fault', error };
  }
}

/** Whose keys are not at hand yet. */
function lackingFor<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  events: readonly Event[],
  { data, keys, id }: Personally,
): Lacking | undefined {
  if (!data.encrypt) return undefined;
  const all = events.flatMap((event) => codecOf<Event>(decider).persons(event, id));
  const persons = new Set(all.filter((person) => keys.get(person) === undefined));
  return persons.size === 0 ? undefined : { persons, how: 'make' };
}

/** Events as they are stored, and the state after them: what is kept of it is folded from what is stored. */
function storedBy<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  events: readonly Event[],
  { kept, open }: Both<State>,
  personal: Personally | undefined,
): { readonly stored: StoredEvent[]; readonly state: State; readonly kept: State } {
  const codec = codecOf<Event>(decider);
  const seal = personal?.data.encrypt ? personal : undefined;
  const stored = events.map((event) => codec.encode(event, seal));
  const state = events.reduce(decider.evolve, open);
  if (kept === open && stored.every(({ sealed }) => sealed.length === 0))
    return { stored, state, kept: state };
  const sealed = stored.map((event) => codec.decode(event, personal?.id));
  return { stored, state, kept: sealed.reduce(decider.evolve, kept) };
}

function isEvents<Event, R>(outcome: readonly Event[] | R): outcome is readonly Event[] {
  return Array.isArray(outcome);
}

function holds(expected: Expectation, version: number, exists: boolean): boolean {
  if (expected === 'any') return true;
  if (expected === 'none') return !exists;
  return expected === 'exists' ? exists : expected === version;
}

/** What an answer from the log is made with. */
export interface AnswerDeps {
  readonly log: Log;
  readonly states: States;
  readonly personal: PersonalData;
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
  deps: AnswerDeps,
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
  { log, states, personal }: AnswerDeps,
): Promise<Extract<CommandResult<State, Event, R>, { outcome: 'accepted' }>> {
  const commit = await log.at(positionOfVersion(version));
  const decision = commit?.decisions.find((d) => d.commandId === commandId);
  if (commit === undefined || decision === undefined) {
    throw new CorruptCommit(
      keyOf(stream),
      positionOfVersion(version),
      new Error(`command ${commandId} is not in it`),
    );
  }
  const codec = codecOf<Event>(decider);
  const decode = (stored: StoredEvent) => codec.decode(stored, stream.id);
  const events = decision.events.map(decode);
  // Decisions of other callers in the same commit came before or after it.
  let { state } = await states.at(decider, stream, version - 1);
  for (const each of commit.decisions.slice(0, commit.decisions.indexOf(decision) + 1)) {
    state = each.events.map(decode).reduce(decider.evolve, state);
  }
  const open = codec.personal ? await personal.open({ state, events }) : { state, events };
  return { outcome: 'accepted', version, ...open, repeated: true };
}
