import type { Runtime } from '../eventstore/runtime.ts';
import type { BucketResolver, LiveBucket } from './aliases.ts';
import type { Waiting } from './checkpoint-pace.ts';
import { type ReadOptions, ViewBehind } from './read-models.ts';
import type { Projections } from './start.ts';

/** How long a query waits for the demanded position when it does not say. */
export const DEFAULT_WAIT_MS = 2_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 80;

/** What a look at a bucket found: the answer, or which group has only come how far. */
export type Look<T> = { readonly answer: T } | { readonly reached: number; readonly index: number };

/**
 * Looks at the live bucket until it has the answer or the time is up. A group that runs in this process is asked to
 * hurry, and wakes the query; others are looked at again after pauses that grow to 80 ms.
 */
export function createWaiting(deps: {
  projection: { readonly name: string };
  resolver: BucketResolver;
  runtime: Runtime;
  hurry?: Projections['hurry'] | undefined;
}) {
  const { resolver, runtime, hurry } = deps;
  const view = deps.projection.name;

  return async <T>(
    minPosition: number,
    options: ReadOptions,
    look: (live: LiveBucket) => Promise<Look<T>>,
  ): Promise<T> => {
    const end = runtime.now() + (options.waitMs ?? DEFAULT_WAIT_MS);
    let reached = 0;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const live = await resolver.current(view);
      let local: Waiting | undefined;
      if (live !== undefined) {
        const seen = await look(live);
        if ('answer' in seen) return seen.answer;
        reached = seen.reached;
        local = hurry?.(view, live.bucket.name, seen.index, minPosition);
      }
      const left = end - runtime.now();
      if (left > 0)
        await Promise.race([runtime.sleep(Math.min(pause, left)), ...(local ? [local.reached] : [])]);
      local?.cancel();
      if (left <= 0) throw new ViewBehind(view, minPosition, reached);
    }
  };
}
