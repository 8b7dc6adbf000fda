import type { CommandHandler, CommandMeta } from '../eventstore/command.ts';
import { EventStoreError } from '../eventstore/errors.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import type { EmailKey } from './email-key.ts';

export interface UseCaseSettings {
  /** From what age on a claim or a pending change without an owner is taken to be given up, in milliseconds. */
  readonly staleClaimMs: number;
  /** How old a product's name and price may be when an order is placed, in milliseconds. */
  readonly priceMaxAgeMs: number;
  /** How long a placed order waits for its payment, in milliseconds; default 15 minutes. */
  readonly paymentDeadlineMs?: number | undefined;
  /** How an order is paid when the request does not say; only for a simulated provider. */
  readonly defaultPaymentToken?: string | undefined;
}

/** What every use case is made of. */
export interface UseCaseDeps {
  readonly handler: CommandHandler;
  readonly runtime: Runtime;
  readonly emailKey: EmailKey;
  readonly settings: UseCaseSettings;
}

/**
 * What accompanies a step of a command on the way to its last one. Its id is new each time: a step's own key is the
 * attempt, and it must be answered from what is, not from what an earlier call was told.
 */
export function stepMeta(meta: CommandMeta, runtime: Runtime, actor: string = meta.actor): CommandMeta {
  const { commandId, correlationId, traceparent, tracestate } = meta;
  return {
    commandId: runtime.id(),
    correlationId: correlationId ?? commandId,
    causationId: commandId,
    actor,
    traceparent,
    tracestate,
  };
}

/** Whether the caller may repeat the command: only then can there be an earlier answer to look for. */
export function isKeyed(meta: CommandMeta): boolean {
  return meta.fingerprint !== undefined && meta.fingerprint.length > 0;
}

/**
 * Runs a step that comes after the answer is decided. A fault must not turn a stored command into an error; what it
 * leaves is a dead claim, which the next one who wants the address takes over at once.
 */
export async function tidyUp(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof EventStoreError)) throw error;
  }
}
