import type { Bucket } from '../eventstore/bucket.ts';
import type { EngineDeps, LiveAlias } from './engine.ts';
import { checkCancelled, RebuildRefused } from './errors.ts';
import { groupCountOf } from './groups.ts';
import { allOf, type KeptGroups, keepGroups } from './kept-groups.ts';
import { type Projection, versionOf } from './projection.ts';
import { checkpointOf, nextName, reusableName } from './spare-buckets.ts';

/** How far a bucket that is being filled has come. */
export interface RebuildProgress {
  readonly view: string;
  /** Commits of the log that are taken in. */
  readonly applied: number;
  /** Commits in the log. */
  readonly total: number;
  readonly eventsPerSecond: number;
  readonly etaSeconds: number;
}

export interface BesideOptions {
  /** Take over a bucket of this version that is there already; otherwise begin with an empty one, or with `only` refuse. */
  readonly resume: boolean | 'only';
  /** Puts rows into a bucket before it is fed. */
  readonly seed?: ((bucket: Bucket) => Promise<void>) | undefined;
  /** Looks at the bucket once it has caught up and before it is switched to; it is fed meanwhile. */
  readonly compare?: ((bucket: Bucket) => Promise<void>) | undefined;
  readonly onProgress?: ((progress: RebuildProgress) => void) | undefined;
  /** Gives up; what is filled so far stays and can be resumed. */
  readonly signal?: AbortSignal | undefined;
  /** Feed the bucket for so long after the switch, until running services have noticed it. */
  readonly feedMs?: number | undefined;
}

const LOOK_EVERY_MS = 100;

/**
 * Fills a bucket beside the live one and points the view at it once it has reached both the live checkpoint and the
 * log's end. Readers keep the old bucket until then.
 * @returns the bucket, and false when another process has switched the view first
 * @throws RebuildRefused, or what stopped the view; the live bucket is then as it was
 */
export async function buildBeside(
  deps: EngineDeps,
  projection: Projection,
  live: LiveAlias | undefined,
  options: BesideOptions,
): Promise<{ bucket: string; switched: boolean }> {
  const reusable = options.resume === false ? undefined : await reusableName(deps, projection, live?.alias);
  if (reusable === undefined && options.resume === 'only') {
    const why = 'no earlier bucket holds this version of it; a service of another version switches by itself';
    throw new RebuildRefused(projection.name, why);
  }
  const name = reusable ?? (await nextName(deps, projection));
  const bucket = await deps.buckets.create(name, { durable: projection.crossesAggregates });
  if (reusable === undefined) await options.seed?.(bucket);
  const count = groupCountOf(projection, deps.settings);
  const kept = keepGroups({ ...deps, projection, bucket: name, count });
  kept.own(allOf(count));
  try {
    const oldCheckpoint = async () =>
      live === undefined ? 0 : checkpointOf(deps, live.alias.bucket, live.alias.groups ?? 1);
    await caughtUp(deps, projection, kept, oldCheckpoint, options);
    if (options.compare !== undefined) {
      await options.compare(bucket);
      await caughtUp(deps, projection, kept, oldCheckpoint, { ...options, onProgress: undefined });
    }
    const alias = {
      bucket: name,
      version: versionOf(projection, count),
      ...(count > 1 && { groups: count }),
    };
    const switched = await deps.aliases.point(projection.name, alias, live?.revision ?? 0);
    if (switched && options.feedMs !== undefined) await deps.runtime.sleep(options.feedMs);
    return { bucket: name, switched };
  } finally {
    await kept.stop();
  }
}

async function caughtUp(
  deps: EngineDeps,
  projection: Projection,
  kept: KeptGroups,
  oldCheckpoint: () => Promise<number>,
  options: BesideOptions,
): Promise<void> {
  const { log, runtime } = deps;
  let failure: unknown;
  void kept.ended.then((error) => {
    failure = error;
  });
  const started = runtime.now();
  let first: number | undefined;
  let eventsBefore = 0;
  for (;;) {
    if (failure !== undefined) throw failure;
    checkCancelled(options.signal);
    const target = Math.max(await log.head(), await oldCheckpoint());
    const applied = kept.delivered ?? kept.position ?? 0;
    if (first === undefined && kept.delivered !== undefined) {
      first = applied;
      eventsBefore = kept.events;
    }
    const seconds = Math.max((runtime.now() - started) / 1000, 0.001);
    const commitsPerSecond = (applied - (first ?? applied)) / seconds;
    options.onProgress?.({
      view: projection.name,
      applied,
      total: target,
      eventsPerSecond: Math.max(0, kept.events - eventsBefore) / seconds,
      etaSeconds: commitsPerSecond > 0 ? Math.max(0, target - applied) / commitsPerSecond : 0,
    });
    if (kept.running && (kept.position ?? 0) >= target) return;
    await runtime.sleep(LOOK_EVERY_MS);
  }
}
