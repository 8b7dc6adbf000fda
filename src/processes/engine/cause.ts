import type { Message } from '@bufbuild/protobuf';
import {
  type CommandHandler,
  type CommandMeta,
  type CommandResult,
  type Decider,
  type ExecuteOptions,
  numberOf,
  type Position,
  type RecordedCommit,
  type Rejection,
  type StoredTrace,
} from '../../eventstore/index.ts';
import type { Timer, Timers } from './timers/timers.ts';

/** Thrown by a handler for what may pass: it is tried again, later each time. */
export class RetryLater extends Error {
  readonly retryable = true;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Thrown by a handler for what no retry can mend: the commit becomes a dead letter at once. */
export class GiveUp extends Error {
  readonly retryable = false;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Others write to the aggregate all the time. */
export class CommandConflict extends RetryLater {
  constructor(category: string, id: string) {
    super(`Too many others write to ${category}/${id}.`);
  }
}

/** What a command came to. */
export type Reply<State, Event extends Message, R extends Rejection> = Extract<
  CommandResult<State, Event, R>,
  { outcome: 'accepted' | 'unchanged' | 'rejected' }
>;

type Together = Pick<ExecuteOptions, 'together'>;

/**
 * What makes commands follow from an event or a timer: each is stored under an id that derives from the cause, so that a
 * repetition, after a crash or by a second instance, is answered from the log.
 */
export interface Cause {
  /**
   * What accompanies a command. Its actor is the reaction.
   * @param key names the command among those of the same cause to the same aggregate, also those of other reactions
   */
  meta(key: string): CommandMeta;
  /** Executes a command that may be refused. @throws as `CommandHandler.execute`, CommandConflict, GiveUp for an id that is taken */
  attempt<State, Command, Event extends Message, R extends Rejection>(
    decider: Decider<State, Command, Event, R>,
    id: string,
    command: Command,
    key: string,
    options?: Together,
  ): Promise<Reply<State, Event, R>>;
  /** Executes a command that must not be refused. @throws as `attempt`, GiveUp when it is */
  execute<State, Command, Event extends Message, R extends Rejection>(
    decider: Decider<State, Command, Event, R>,
    id: string,
    command: Command,
    key: string,
    options?: Together,
  ): Promise<Exclude<Reply<State, Event, R>, { outcome: 'rejected' }>>;
}

/** What of an event goes into the commands that it causes. */
export interface CausingEvent extends StoredTrace {
  readonly id: string;
  readonly commandId: string;
  readonly correlationId: string;
}

/** What a reaction acts with. */
export interface ReactionContext {
  /** To load what decisions need. */
  readonly handler: CommandHandler;
  /** The commit that is handled, where it is fresh: nobody can have handled it before, and little can have followed it. */
  readonly fresh?: RecordedCommit | undefined;
  /** Makes an event of the delivery the cause of commands. */
  causedBy(event: CausingEvent): Cause;
  /** The reaction's own timers, as this delivery is to use them; absent where it has none. */
  readonly timers?: Pick<Timers, 'arm' | 'disarm'> | undefined;
}

/**
 * The context of one delivery.
 * @param actor the reaction's name
 * @param position of the event's commit, where earlier versions derived ids of commands from it
 * @param fresh as in `ReactionContext`
 * @param timers what the delivery arms and disarms with
 */
export function reactionContext(
  handler: CommandHandler,
  actor: string,
  position?: Position,
  fresh?: RecordedCommit,
  timers?: ReactionContext['timers'],
): ReactionContext {
  return {
    handler,
    fresh,
    timers,
    causedBy: ({ id, commandId, correlationId, traceparent, tracestate }) =>
      causeOf(handler, (key) => ({
        commandId: `${id}/${key}`,
        // What they did is not done again.
        formerId: position && `${numberOf(position)}/${key}`,
        correlationId,
        causationId: commandId,
        actor,
        traceparent,
        tracestate,
      })),
  };
}

/** A timer that has fired as the cause of commands; their ids derive from what it is and when it was due. */
export function causedByTimer(handler: CommandHandler, actor: string, { kind, id, at }: Timer): Cause {
  const timer = `${kind}/${id}/${at}`;
  return causeOf(handler, (key) => ({ commandId: key === '' ? timer : `${timer}/${key}`, actor }));
}

function causeOf(handler: CommandHandler, meta: Cause['meta']): Cause {
  const attempt: Cause['attempt'] = async (decider, id, command, key, options) => {
    const accompanying = meta(key);
    const result = await handler.execute(decider, id, command, accompanying, options);
    if (result.outcome === 'conflict') throw new CommandConflict(decider.category, id);
    if (result.outcome !== 'key-reused') return result;
    throw new GiveUp(
      `The command id ${accompanying.commandId} was used before on ${decider.category}/${id}.`,
    );
  };
  return {
    meta,
    attempt,
    execute: async (decider, id, command, key, options) => {
      const reply = await attempt(decider, id, command, key, options);
      if (reply.outcome === 'rejected') throw new GiveUp(`${id}: ${reply.rejection.message}`);
      return reply;
    },
  };
}
