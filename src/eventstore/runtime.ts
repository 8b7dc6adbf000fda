import { randomUUID } from 'node:crypto';

/** Everything that is not a function of its input, so that the simulation can supply it. */
export interface Runtime {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** A new unique id. */
  id(): string;
  /** Resolves after `ms`; never rejects. */
  sleep(ms: number): Promise<void>;
}

/** The real clock, randomness and timers. */
export const systemRuntime: Runtime = {
  now: Date.now,
  random: Math.random,
  id: randomUUID,
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** A delay with full jitter: between half of and the whole `baseMs * 2^attempt`, at most `capMs`. */
export function backoffMs(runtime: Runtime, attempt: number, baseMs: number, capMs: number): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20));
  return ceiling / 2 + (ceiling / 2) * runtime.random();
}
