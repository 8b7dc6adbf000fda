import { type Bucket, backoffMs, mayHeal, type Row, type Runtime } from '../../eventstore/index.ts';

/** The longest single timer, so that a stopped engine leaves none behind for long. */
const CHUNK_MS = 1_000;

/** Sleeps; returns early when the signal fires. @internal */
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
      if (!mayHeal(error) || signal.aborted) throw error;
      await pause(runtime, backoffMs(runtime, attempt, BASE_MS, CAP_MS), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** One waiter at a time is woken by any number of calls; a call while nobody waits wakes the next one at once. */
export interface Signal {
  raise(): void;
  /** Resolves when it is raised, at once if it was since the last wait, or when the abort signal fires. */
  raised(signal: AbortSignal): Promise<void>;
}

export function createSignal(): Signal {
  let isRaised = false;
  let wake: (() => void) | undefined;
  return {
    raise: () => {
      isRaised = true;
      wake?.();
    },
    raised: (signal) =>
      new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done);
          wake = undefined;
          isRaised = false;
          resolve();
        };
        wake = done;
        if (isRaised || signal.aborted) done();
        else signal.addEventListener('abort', done);
      }),
  };
}

/**
 * Watches a bucket until the signal fires and starts again when the watch breaks. Each row is delivered in the order of
 * the revisions, and none that is older than what was delivered: a watch that starts again on a replica which lags
 * would bring back what has been removed since.
 * @param caughtUp called once, when the rows of the first start are through
 */
export async function follow(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  deliver: (row: Row) => void,
  caughtUp: () => void,
): Promise<void> {
  let seen = 0;
  let told = false;
  const tell = (): void => {
    if (told) return;
    told = true;
    caughtUp();
  };
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      for await (const row of bucket.watch({ signal, caughtUp: tell })) {
        attempt = 0;
        if (row.revision <= seen) continue;
        seen = row.revision;
        deliver(row);
      }
    } catch {
      // Whatever it was, only another watch shows whether it has passed.
    }
    await pause(runtime, backoffMs(runtime, attempt, 20, 1_000), signal);
  }
}
