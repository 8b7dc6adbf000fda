import type { Message } from '@bufbuild/protobuf';
import type {
  AnyDecider,
  CommandHandler,
  Decider,
  EventSource,
  Loaded,
  RecordedCommit,
  Rejection,
  Runtime,
  StreamRef,
} from '../../eventstore/index.ts';
import { type Cause, causedByTimer, type ReactionContext, RetryLater } from './cause.ts';
import { type ConsumedEvent, type Delivery, mayPass, type Reaction } from './reaction.ts';
import type { Start } from './start.ts';
import type { Timer, Timers } from './timers/timers.ts';

/** A command to an aggregate, as data. */
export interface CommandEffect {
  readonly type: 'command';
  readonly decider: AnyDecider;
  readonly id: string;
  readonly command: unknown;
  /** Names it among the commands of the same event to the same aggregate; may be empty for a timer's only one. */
  readonly key: string;
  /** What follows when it is refused: a dead letter, nothing, or another command, such as one that takes a step back. */
  readonly ifRejected: 'give-up' | 'ignore' | CommandEffect;
}

/** What the engine does for every process. A timer's id is the process's; the same kind again replaces the earlier one. */
export type StandardEffect =
  | CommandEffect
  | { readonly type: 'arm'; readonly timer: string; readonly at: number }
  | { readonly type: 'disarm'; readonly timer: string };

/** A command to an aggregate; one that is refused makes a dead letter unless said otherwise. */
export function command<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  id: string,
  command: Command,
  key: string,
  ifRejected: CommandEffect['ifRejected'] = 'give-up',
): CommandEffect {
  return { type: 'command', decider, id, command, key, ifRejected };
}

/** Which process an event belongs to, and what it is to it. Only `start` may come where there is no state yet. */
export interface Route {
  readonly as: 'start' | 'continue' | 'end';
  /** The process's id: that of the aggregate whose events are its state. */
  readonly id: string;
}

/** What is known of an event beside what it says. */
export interface Happened {
  /** The process's id. */
  readonly id: string;
  /** When it was decided, in milliseconds since the Unix epoch. */
  readonly time: number;
}

/**
 * What follows from events over time: pure, and run by the engine as a reaction. Its state is folded from an aggregate's
 * events, be it the one whose events it takes or one of its own that it sends commands to; there is no other bookkeeping.
 */
export interface Process<Event extends Message, State, Effect extends { readonly type: string } = never> {
  /** As a reaction's. */
  readonly name: string;
  readonly sources: readonly EventSource[];
  readonly from: Start;
  /** Whose events the state is folded from. */
  readonly state: AnyDecider & { readonly initial: State };
  /** Undefined for an event that belongs to no process. */
  route(event: Event, stream: StreamRef): Route | undefined;
  /**
   * What is to be done because of an event.
   * @param state as it is when the event is handled, not when it happened: what was done meanwhile is not done again
   */
  react(event: Event, state: State, happened: Happened): readonly (Effect | StandardEffect)[];
  /**
   * The effects that need not wait for the newest state of the process, a round trip, but are begun on the state as of
   * their event: where something has ended the process meanwhile, what they do is refused there, or given back because
   * of that end (protocol 27). Arming a timer and commands to the aggregate that is the state are always among them.
   */
  readonly fenced?: readonly Effect['type'][];
  /** What gives back whatever may have been taken; done first when the process ends. */
  compensate?(state: State, happened: Happened): readonly (Effect | StandardEffect)[];
  /**
   * What is to be done when a timer fires, by its kind; all of them are disarmed when the process ends.
   * @param fired `time`: now, and never before the timer was due
   */
  readonly timers?: Readonly<Record<string, (state: State, fired: Happened) => readonly StandardEffect[]>>;
}

/** All that is to be done because of an event, in order; pure. */
export function effectsOf<Event extends Message, State, Effect extends { readonly type: string }>(
  { compensate, timers = {}, react }: Process<Event, State, Effect>,
  { as }: Pick<Route, 'as'>,
  event: Event,
  state: State,
  happened: Happened,
): readonly (Effect | StandardEffect)[] {
  const reacted = react(event, state, happened);
  if (as !== 'end') return reacted;
  const disarmed = Object.keys(timers).map((timer) => ({ type: 'disarm', timer }) as const);
  return [...(compensate?.(state, happened) ?? []), ...disarmed, ...reacted];
}

/** One step of a process: the event, and the means to act on it. */
export interface Step<Event extends Message> {
  /** The process's id. */
  readonly id: string;
  readonly delivery: Delivery<Event>;
  readonly consumed: ConsumedEvent<Event>;
  readonly cause: Cause;
  readonly handler: CommandHandler;
}

/** What a process that runs acts on; `execute` does the effects that are its own. */
export type ProcessDeps<Event extends Message, Effect> = {
  readonly timers: Pick<Timers, 'arm' | 'disarm'>;
} & ([Effect] extends [never]
  ? { readonly execute?: undefined }
  : { execute(effect: Effect, step: Step<Event>): Promise<void> });

/** A process as the reaction that runs it. An event that comes before what begins its process is tried again later. */
export function runProcess<Event extends Message, State, Effect extends { readonly type: string } = never>(
  process: Process<Event, State, Effect>,
  deps: ProcessDeps<Event, Effect>,
): Reaction<Event> {
  const { name, sources, from } = process;
  const handle = async (delivery: Delivery<Event>, context: ReactionContext): Promise<void> => {
    const { handler } = context;
    for (const consumed of delivery.events) {
      const route = process.route(consumed.event, delivery.stream);
      if (route === undefined) continue;
      const { id } = route;
      const effects = await effectsNow(process, route, consumed, context);
      const step: Step<Event> = { id, delivery, consumed, cause: context.causedBy(consumed), handler };
      const timers = context.timers ?? deps.timers;
      await all(effects.map((effect) => () => execute(effect, id, step.cause, { ...deps, timers }, step)));
    }
  };
  return { name, sources, from, timers: deps.timers, handle };
}

/**
 * What is to be done because of an event: on the state as of its commit, where all of it is fenced, else on the newest.
 * To find nothing to do needs no newer state: so it was at that commit.
 */
async function effectsNow<Event extends Message, State, Effect extends { readonly type: string }>(
  process: Process<Event, State, Effect>,
  route: Route,
  { event, time }: ConsumedEvent<Event>,
  { handler, fresh }: ReactionContext,
): Promise<readonly (Effect | StandardEffect)[]> {
  const { id, as } = route;
  const on = async (asOf: RecordedCommit | undefined): Promise<readonly (Effect | StandardEffect)[]> => {
    const { state, version } = await loadState(process, handler, id, asOf);
    if (version === 0 && as !== 'start') throw new RetryLater(`${process.name}/${id} has not begun yet.`);
    return effectsOf(process, route, event, state, { id, time });
  };
  const isState = fresh?.stream.category === process.state.category && fresh.stream.id === id;
  if (!isState) return on(undefined);
  const effects = await on(fresh);
  return effects.every((effect) => isFenced(process, id, effect)) ? effects : on(undefined);
}

function isFenced<Event extends Message, State, Effect extends { readonly type: string }>(
  { fenced, state }: Process<Event, State, Effect>,
  id: string,
  effect: Effect | StandardEffect,
): boolean {
  if (!isStandard(effect)) return fenced?.includes(effect.type) ?? false;
  // A timer that fires for nothing is refused by whoever handles it.
  return effect.type === 'arm' || (effect.type === 'command' && effect.decider === state && effect.id === id);
}

/** What is done with a timer of a process that has fired. @throws what makes `Timers` deliver it again */
export function runProcessTimer<Event extends Message, State, Effect extends { readonly type: string }>(
  process: Process<Event, State, Effect>,
  kind: string,
  deps: {
    readonly handler: CommandHandler;
    readonly runtime: Pick<Runtime, 'now'>;
    readonly timers: Pick<Timers, 'arm' | 'disarm'>;
  },
): (timer: Timer) => Promise<void> {
  const react = process.timers?.[kind];
  if (react === undefined) throw new RangeError(`The process ${process.name} has no timer ${kind}.`);
  return async (timer) => {
    const { id, at } = timer;
    const { state } = await loadState(process, deps.handler, id);
    // That it fired is proof that the time has come; this process's own clock may be behind.
    const effects = react(state, { id, time: Math.max(at, deps.runtime.now()) });
    const cause = causedByTimer(deps.handler, process.name, timer);
    await all(effects.map((effect) => () => executeStandard(effect, id, cause, deps.timers)));
  };
}

function loadState<State>(
  { state }: { readonly state: AnyDecider & { readonly initial: State } },
  handler: CommandHandler,
  id: string,
  asOf?: RecordedCommit,
): Promise<Loaded<State>> {
  return handler.load(state as Decider<State, never, Message, Rejection>, id, { asOf });
}

function isStandard(effect: { readonly type: string }): effect is StandardEffect {
  return effect.type === 'command' || effect.type === 'arm' || effect.type === 'disarm';
}

async function execute<Event extends Message, Effect extends { readonly type: string }>(
  effect: Effect | StandardEffect,
  id: string,
  cause: Cause,
  deps: ProcessDeps<Event, Effect>,
  step: Step<Event>,
): Promise<void> {
  if (isStandard(effect)) await executeStandard(effect, id, cause, deps.timers);
  else await deps.execute?.(effect, step);
}

async function executeStandard(
  effect: StandardEffect,
  id: string,
  cause: Cause,
  timers: Pick<Timers, 'arm' | 'disarm'>,
): Promise<void> {
  if (effect.type === 'arm') return timers.arm({ kind: effect.timer, id, at: effect.at });
  if (effect.type === 'disarm') return timers.disarm(effect.timer, id);
  const decider = effect.decider as Decider<unknown, never, Message, Rejection>;
  const how = effect.ifRejected === 'give-up' ? cause.execute : cause.attempt;
  const { outcome } = await how(decider, effect.id, effect.command as never, effect.key);
  if (outcome === 'rejected' && typeof effect.ifRejected === 'object')
    await executeStandard(effect.ifRejected, id, cause, timers);
}

/**
 * Executes every one, also after a failure: that one thing cannot be given back is no reason to keep another.
 * @throws the first failure, rather one that a retry may mend than one that makes a dead letter
 */
async function all(runs: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const run of runs) {
    try {
      await run();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.find((error) => mayPass(error)) ?? failures[0];
}
