import { EventStoreError } from '../../eventstore/errors.ts';
import { backoffMs, type Runtime } from '../../eventstore/runtime.ts';
import type { Policy } from '../engine/consumer.ts';
import { PaymentUnavailable } from '../payment/port.ts';

export interface RetrySettings {
  /** The first pause, in milliseconds; each next one is twice as long, and up to half of it is left out by chance. */
  readonly baseMs: number;
  /** The longest pause, in milliseconds. */
  readonly capMs: number;
  /** After this many tries the event is parked. */
  readonly maxAttempts: number;
}

// Longer than a payment's deadline: when the provider stays away the order expires, and nobody has to redrive it.
const DEFAULTS: RetrySettings = { baseMs: 200, capMs: 30_000, maxAttempts: 100 };

/** Whether trying again may help: the log or the provider was away, or somebody else was faster. */
export function isTransient(error: unknown): boolean {
  if (error instanceof EventStoreError) return error.retryable;
  if (error instanceof PaymentUnavailable) return true;
  return error instanceof Error && 'retryable' in error && error.retryable === true;
}

/** Retries what is transient, later each time and with jitter, and parks the rest at once. */
export function createOrderPolicy(runtime: Runtime, settings: Partial<RetrySettings> = {}): Policy {
  const { baseMs, capMs, maxAttempts } = { ...DEFAULTS, ...settings };
  return (error, attempt) =>
    isTransient(error) && attempt < maxAttempts
      ? { action: 'retry', afterMs: backoffMs(runtime, attempt - 1, baseMs, capMs) }
      : { action: 'park' };
}
