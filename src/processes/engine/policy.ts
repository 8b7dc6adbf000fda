import { CorruptCommit, UnknownEventType } from '../../eventstore/errors.ts';
import type { Policy } from './consumer.ts';

/** What the default policy is made of. */
export interface BackoffPolicy {
  /** In [0, 1). */
  readonly random: () => number;
  readonly baseMs: number;
  readonly capMs: number;
  /** Tries of a commit, the first included, before it is parked. */
  readonly attempts: number;
}

/**
 * Retries with exponential backoff and jitter (half of the delay is random), a bounded number of times, then parks. What
 * cannot become better is parked at once: events that cannot be read, and errors that say `retryable: false`.
 */
export function backoffPolicy({ random, baseMs, capMs, attempts }: BackoffPolicy): Policy {
  return (error, attempt) => {
    if (isPermanent(error) || attempt >= attempts) return { action: 'park' };
    const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 20));
    return { action: 'retry', afterMs: Math.ceil(ceiling / 2 + (ceiling / 2) * random()) };
  };
}

function isPermanent(error: unknown): boolean {
  if (error instanceof UnknownEventType || error instanceof CorruptCommit) return true;
  return error instanceof Error && 'retryable' in error && error.retryable === false;
}
