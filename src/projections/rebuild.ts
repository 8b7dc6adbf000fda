import type { Bucket } from '../eventstore/bucket.ts';
import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { createAliases } from './aliases.ts';
import { buildBeside, type RebuildProgress } from './beside.ts';
import type { Buckets } from './buckets.ts';
import { type Comparison, compareBuckets, type Difference } from './difference.ts';
import type { EngineDeps } from './engine.ts';
import { RebuildRefused } from './errors.ts';
import { createFactDecoder } from './facts.ts';
import { groupCountOf } from './groups.ts';
import type { Projection } from './projection.ts';
import { createReader } from './reader.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';
import { dropSpare } from './spare-buckets.ts';
import { type StartFrom, seedFrom } from './start-from.ts';
import { traceRebuild } from './telemetry-rebuild.ts';
import { throttled } from './throttle.ts';

export interface RebuildResult {
  /** The bucket that now holds the view. */
  readonly bucket: string;
  /** False when another process pointed the view elsewhere meanwhile; the filled bucket is then left alone. */
  readonly switched: boolean;
  /** Older buckets that were deleted; the one that was live until now is kept until the next rebuild. */
  readonly dropped: readonly string[];
  /** Present when it was asked for and there was an old bucket. */
  readonly comparison?: Comparison;
}

export interface RebuildDeps {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly projection: Projection;
  readonly runtime: Runtime;
  /** `groups` must be what the running service has. */
  readonly settings?: Partial<ProjectionSettings>;
}

export interface RebuildOptions {
  readonly onProgress?: (progress: RebuildProgress) => void;
  /** Cancels; the live bucket stays, and what was filled so far can be resumed. */
  readonly signal?: AbortSignal;
  /** Go on with a bucket that an earlier attempt has left, instead of beginning again. */
  readonly resume?: boolean;
  /** Read at most so many commits a second. */
  readonly commitsPerSecond?: number;
  /** Keep the rows that nothing later has touched; by default everything is replayed. */
  readonly from?: StartFrom;
  /** Hears of each key that differs between the old bucket and the new one, before the switch. */
  readonly onDifference?: (difference: Difference) => void;
}

/** How often a running service has looked for the live bucket by the time that it is left to feed it alone. */
const FEED_LOOKS = 3;

/**
 * Replays the log into a fresh bucket beside the live one and switches to it. A running service notices within
 * `resolveMs` and a little, until when the new bucket is fed from here; nobody has to be restarted.
 * @throws PoisonEvent when an event cannot be applied, RebuildRefused, LogUnavailable, EventStoreError
 *   `view/cancelled`; the live bucket is then as it was
 */
export async function rebuild(deps: RebuildDeps & RebuildOptions): Promise<RebuildResult> {
  const { projection, runtime, signal, onDifference, from, resume = false } = deps;
  if (resume && from !== undefined) {
    throw new RebuildRefused(
      projection.name,
      'one that is resumed goes on where it was; leave out the start',
    );
  }
  return withEngine(deps, async (engine) => {
    const started = runtime.now();
    const live = await engine.aliases.read(projection.name);
    let comparison: Comparison | undefined;
    const compare = async (bucket: Bucket): Promise<void> => {
      const old = live && (await engine.buckets.open(live.alias.bucket));
      if (old === undefined) return;
      const before = { bucket: old, groups: live?.alias.groups ?? 1 };
      const after = { bucket, groups: groupCountOf(projection, engine.settings) };
      comparison = await compareBuckets(before, after, { runtime, onDifference, signal });
    };
    const seed = from && (await seedFrom(engine, projection, live, from, signal));
    const { bucket, switched } = await traceRebuild(projection.name, ({ onProgress }) =>
      buildBeside(engine, projection, live, {
        resume,
        onProgress: (progress) => {
          onProgress(progress);
          deps.onProgress?.(progress);
        },
        signal,
        seed,
        compare: onDifference && compare,
        feedMs: FEED_LOOKS * engine.settings.resolveMs,
      }),
    );
    const keep = new Set([bucket, live?.alias.bucket]);
    const dropped = switched ? await dropSpare(engine, projection, keep, started) : [];
    return { bucket, switched, dropped, ...(comparison && { comparison }) };
  });
}

/**
 * Points a view back at the bucket that was live before the last switch, once that one has caught up: nobody reads
 * something older than before.
 * @throws RebuildRefused when there is none of this version and this life of the log; otherwise as `rebuild`
 */
export async function rollback(
  deps: RebuildDeps & Pick<RebuildOptions, 'onProgress' | 'signal'>,
): Promise<RebuildResult> {
  const { projection } = deps;
  return withEngine(deps, async (engine) => {
    const live = await engine.aliases.read(projection.name);
    const { bucket, switched } = await buildBeside(engine, projection, live, {
      resume: 'only',
      onProgress: deps.onProgress,
      signal: deps.signal,
      feedMs: FEED_LOOKS * engine.settings.resolveMs,
    });
    return { bucket, switched, dropped: [] };
  });
}

/** The parts of an engine for one piece of work, in a process that need not run the views. */
export async function withEngine<T>(
  deps: RebuildDeps & Pick<RebuildOptions, 'commitsPerSecond'>,
  work: (engine: EngineDeps) => Promise<T>,
): Promise<T> {
  const { buckets, projection, runtime, commitsPerSecond } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const log = commitsPerSecond === undefined ? deps.log : throttled(deps.log, runtime, commitsPerSecond);
  const aliases = createAliases(buckets, settings.prefix);
  const decode = createFactDecoder(projection.sources);
  const reader = createReader({ log, decode, runtime, settings });
  try {
    return await work({ log, buckets, aliases, decode, runtime, settings, reader });
  } finally {
    reader.stop();
  }
}
