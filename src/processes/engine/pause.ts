import { backoffMs, type Runtime } from '../../eventstore/runtime.ts';
import { isRetryable } from './errors.ts';

/** The longest single timer, so that a stopped engine leaves none behind for long. */
const CHUNK_MS = 1_000;

/** Sleeps; returns early when the signal fires. */
export async function pause(runtime: Runtime, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  let wake = (): void => undefined;
  const aborted = new Promise<void>((resolve) => {
    wake = resolve;
  });
  signal.addEventListener('abort', wake, { once: true });
  const until = runtime.now() + ms;
  for (let rest = ms; rest > 0 && !signal.aborted; rest = until - runtime.now()) {
    await Promise.race([runtime.sleep(Math.min(rest, CHUNK_MS)), aborted]);
  }
  signal.removeEventListener('abort', wake);
}

/** How a call is repeated while the infrastructure is away. */
export interface Persistence {
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

const BASE_MS = 20;
const CAP_MS = 1_000;

/** Repeats a call that fails with a retryable fault, with backoff, until the signal fires. @throws its last fault */
export async function persist<T>({ runtime, signal }: Persistence, call: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!isRetryable(error) || signal.aborted) throw error;
      await pause(runtime, backoffMs(runtime, attempt, BASE_MS, CAP_MS), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** One waiter at a time is woken by any number of calls; a call while nobody waits wakes the next one at once. */
export interface Bell {
  ring(): void;
  /** Resolves at the next ring, at once if there was one since the last wait, or when the signal fires. */
  heard(signal: AbortSignal): Promise<void>;
}

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring: () => {
      rung = true;
      wake?.();
    },
    heard: (signal) =>
      new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          wake = undefined;
          rung = false;
          resolve();
        };
        wake = done;
        if (rung || signal.aborted) done();
        else signal.addEventListener('abort', done);
      }),
  };
}
