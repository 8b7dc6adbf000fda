import { backoffMs } from '../eventstore/runtime.ts';
import { bucketName } from './aliases.ts';
import { buildBeside, type EngineDeps } from './beside.ts';
import { isRetryable, reasonOf } from './errors.ts';
import { type KeptView, keepView } from './kept-view.ts';
import { type Projection, versionOf } from './projection.ts';
import type { ViewStatus } from './read-models.ts';

/** Keeps one projection running on whichever bucket its alias names. */
export interface Runner {
  readonly projection: Projection;
  status(): ViewStatus;
  stop(): Promise<void>;
}

interface Live {
  readonly bucket: string;
  readonly kept: KeptView;
}

/**
 * Starts a projection. Without a bucket it makes the first one; a bucket of another version is left to its readers
 * until a new one is filled. A switch by another process is followed; the bucket left behind is fed for `graceMs`,
 * for readers that have not noticed yet.
 */
export function startRunner(
  deps: EngineDeps & { onError: (view: string, error: unknown) => void },
  projection: Projection,
): Runner {
  const { aliases, buckets, runtime, settings, reader, onError } = deps;
  const version = versionOf(projection);
  const retired = new Set<KeptView>();
  const stopping = new AbortController();
  const stop = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const stopped = stopping.signal;
  let live: Live | undefined;
  let lastError: unknown;

  const retire = async (kept: KeptView): Promise<void> => {
    retired.add(kept);
    await Promise.race([runtime.sleep(settings.graceMs), stop]);
    await kept.stop();
    retired.delete(kept);
  };

  const serve = async (name: string): Promise<void> => {
    const bucket = await buckets.open(name);
    if (bucket === undefined || stopped.aborted) return;
    if (live !== undefined) void retire(live.kept);
    const kept = keepView({ ...deps, projection, bucket });
    live = { bucket: name, kept };
    lastError = undefined;
    void kept.ended.then((error) => {
      if (error !== undefined) onError(projection.name, error);
    });
  };

  const look = async (): Promise<void> => {
    const found = await aliases.read(projection.name);
    if (found === undefined) {
      const name = bucketName(settings.prefix, projection.name, 1);
      await buckets.create(name, { durable: projection.crossesAggregates });
      await aliases.point(projection.name, { bucket: name, version }, 0);
      return look();
    }
    if (found.alias.version === version) {
      if (found.alias.bucket !== live?.bucket) await serve(found.alias.bucket);
      else await live.kept.view?.verify();
      return;
    }
    // A newer service has switched the view to its own version: this one feeds the old bucket until it is replaced.
    if (live !== undefined) return;
    await buildBeside(deps, projection, found, { resume: true, signal: stopped });
    if (!stopped.aborted) await look();
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; !stopped.aborted; attempt++) {
      let pause = settings.resolveMs;
      try {
        await look();
        attempt = 0;
      } catch (error) {
        if (stopped.aborted) return;
        lastError = error;
        if (!isRetryable(error)) {
          onError(projection.name, error);
          return;
        }
        pause = backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs);
      }
      await Promise.race([runtime.sleep(pause), stop]);
    }
  };

  const running = run();
  return {
    projection,
    status: () => {
      const error = live?.kept.lastError ?? lastError;
      const position = live?.kept.position ?? 0;
      return {
        view: projection.name,
        position,
        lag: Math.max(0, reader.head() - position),
        running: live?.kept.view !== undefined,
        lastError: error === undefined ? undefined : reasonOf(error),
      };
    },
    stop: async () => {
      stopping.abort();
      await Promise.all([live?.kept.stop(), ...[...retired].map((kept) => kept.stop()), running]);
    },
  };
}
