import type { Message } from '@bufbuild/protobuf';
import {
  backoffMs,
  type CommandHandler,
  type CommandMeta,
  type CommandResult,
  type Decider,
  EventStoreError,
  mayHeal,
  numberOf,
  type Position,
  type Rejection,
  type Runtime,
} from '../../eventstore/index.ts';
import type { ConsumedEvent, Policy } from '../engine/index.ts';

import { PaymentUnavailable } from '../payment/port.ts';

/** Who writes what processes decide. */
const ACTOR = 'order-process';

/** Others write to the aggregate all the time; trying again is right. */
export class CommandConflict extends Error {
  readonly retryable = true;

  constructor(category: string, id: string) {
    super(`Too many others write to ${category}/${id}.`);
    this.name = 'CommandConflict';
  }
}

/** Something that no retry can mend: a refusal that only a defect or an operator's intervention explains. */
export class ProcessFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProcessFault';
  }
}

/**
 * What accompanies a command that an event caused. Its id derives from the event, so that a repetition after a crash,
 * or by a second worker, is answered from the log.
 * @param position of the event's commit; earlier versions derived the id from it, and what they did is not done again
 * @param purpose names the command among those of the same commit
 */
export function causedBy(
  position: Position,
  event: Pick<ConsumedEvent<Message>, 'id' | 'commandId' | 'correlationId' | 'traceparent' | 'tracestate'>,
  purpose: string,
): CommandMeta {
  const { id, commandId, correlationId, traceparent, tracestate } = event;
  return {
    commandId: `${id}/${purpose}`,
    formerId: `${numberOf(position)}/${purpose}`,
    correlationId,
    causationId: commandId,
    actor: ACTOR,
    traceparent,
    tracestate,
  };
}

/** What accompanies a command that a timer caused. @param commandId derived from the timer */
export function causedByTimer(commandId: string): CommandMeta {
  return { commandId, actor: ACTOR };
}

/** What a command came to, where the process has to know. */
export type Reply<State, Event extends Message, R extends Rejection> = Extract<
  CommandResult<State, Event, R>,
  { outcome: 'accepted' | 'unchanged' | 'rejected' }
>;

/** Executes a command; outcomes that say nothing of the aggregate are thrown. @throws as `CommandHandler.execute`, CommandConflict, ProcessFault */
export async function executeCommand<State, Command, Event extends Message, R extends Rejection>(
  handler: CommandHandler,
  decider: Decider<State, Command, Event, R>,
  id: string,
  command: Command,
  meta: CommandMeta,
): Promise<Reply<State, Event, R>> {
  const result = await handler.execute(decider, id, command, meta);
  if (result.outcome === 'conflict') throw new CommandConflict(decider.category, id);
  if (result.outcome === 'key-reused') {
    throw new ProcessFault(`The command id ${meta.commandId} was used before on ${decider.category}/${id}.`);
  }
  return result;
}

export interface RetrySettings {
  /** The first pause, in milliseconds; each next one is twice as long, and up to half of it is left out by chance. */
  readonly baseMs: number;
  /** The longest pause, in milliseconds. */
  readonly capMs: number;
  /** After this many tries the event becomes a dead letter. */
  readonly maxAttempts: number;
}

// Longer than a payment's deadline: when the provider stays away the order expires, and nobody has to redrive it.
const DEFAULTS: RetrySettings = { baseMs: 200, capMs: 30_000, maxAttempts: 100 };

/** Whether trying again may help: the log or the provider was away, or somebody else was faster. */
export function isTransient(error: unknown): boolean {
  if (error instanceof EventStoreError) return mayHeal(error);
  if (error instanceof PaymentUnavailable) return true;
  return error instanceof Error && 'retryable' in error && error.retryable === true;
}

/** Retries what is transient, later each time and with jitter; the rest becomes a dead letter at once. */
export function createOrderPolicy(runtime: Runtime, settings: Partial<RetrySettings> = {}): Policy {
  const { baseMs, capMs, maxAttempts } = { ...DEFAULTS, ...settings };
  return (error, attempt) =>
    isTransient(error) && attempt < maxAttempts
      ? { action: 'retry', afterMs: backoffMs(runtime, attempt - 1, baseMs, capMs) }
      : { action: 'dead-letter' };
}
