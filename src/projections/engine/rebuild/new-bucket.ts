import {
  BEGINNING,
  type Bucket,
  distance,
  isAfter,
  latest,
  numberOf,
  type Position,
  type Runtime,
} from '../../../eventstore/index.ts';
import { type Alias, bucketName, bucketNumber, bucketsOf, type LiveAlias } from '../aliases.ts';
import { readCheckpoint, readLowest } from '../checkpoint.ts';
import type { EngineDeps } from '../engine.ts';
import { checkCancelled, RebuildRefused } from '../errors.ts';
import { allGroups, type GroupCount, groupCountOf } from '../groups.ts';
import { allOf, type KeptGroups, keepGroups } from '../kept-groups.ts';
import type { RebuildProgress } from '../observer.ts';
import { type Projection, versionOf } from '../projection.ts';

/** The name that no bucket of the view has had yet, the live one included, which may be gone. */
export async function nextName(
  deps: EngineDeps,
  projection: Projection,
  live: Alias | undefined,
): Promise<string> {
  const { buckets, settings } = deps;
  const all = await bucketsOf(buckets, settings.prefix, projection.name);
  const last = Math.max(all.at(-1)?.n ?? 0, live === undefined ? 0 : bucketNumber(live.bucket));
  return bucketName(settings.prefix, projection.name, last + 1);
}

/**
 * A bucket other than the live one that only has to be caught up: of this version and this incarnation of the log. Of
 * several the one that has come furthest; undefined when there is none. @throws LogUnavailable
 */
export async function reusableName(
  deps: EngineDeps,
  projection: Projection,
  live: Alias | undefined,
): Promise<string | undefined> {
  const { buckets, settings, log } = deps;
  const count = groupCountOf(projection, settings);
  let best: { name: string; position: Position } | undefined;
  for (const { name } of await bucketsOf(buckets, settings.prefix, projection.name)) {
    if (name === live?.bucket) continue;
    const bucket = await buckets.open(name);
    if (bucket === undefined) continue;
    const [stored, lowest] = await Promise.all([
      readCheckpoint(bucket, { count, index: 0 }),
      readLowest(bucket, count),
    ]);
    const { version, incarnation } = stored?.value ?? {};
    if (version !== versionOf(projection, count, deps.marks) || incarnation !== log.incarnation) continue;
    // Nobody could go on with it: it covers commits that this log does not have (protocol 15).
    const position = lowest?.position ?? BEGINNING;
    if (await liesBeyond(deps, position)) continue;
    if (best === undefined || !isAfter(best.position, position)) best = { name, position };
  }
  return best?.name;
}

/**
 * What a bucket's checkpoint says of the log; 0 for one of another incarnation of the log, or beyond its end.
 * @throws LogUnavailable
 */
export async function checkpointOf(deps: EngineDeps, name: string, count: GroupCount): Promise<Position> {
  const bucket = await deps.buckets.open(name);
  const stored = bucket === undefined ? undefined : await readLowest(bucket, count);
  if (stored?.value.incarnation !== deps.log.incarnation) return BEGINNING;
  return (await liesBeyond(deps, stored.position)) ? BEGINNING : stored.position;
}

/** Whether a checkpoint that was read before covers more than there is; a sound one never does. */
async function liesBeyond({ log }: EngineDeps, position: Position): Promise<boolean> {
  if (position === BEGINNING || !isAfter(position, await log.head())) return false;
  return isAfter(position, await log.confirm());
}

/**
 * Deletes the view's buckets that are not in `keep`, but not before `graceMs` after `since`, when the view was pointed
 * away from them: until then a reader may hold one of them.
 * @returns their names
 */
export async function dropSpare(
  deps: EngineDeps,
  projection: Projection,
  keep: ReadonlySet<string | undefined>,
  since: number,
): Promise<string[]> {
  const { buckets, settings, runtime } = deps;
  const spare: string[] = [];
  for (const { name } of await bucketsOf(buckets, settings.prefix, projection.name)) {
    if (!keep.has(name)) spare.push(name);
  }
  // The time of a switch may be of a clock that is ahead of ours.
  const left = Math.min(settings.graceMs, since + settings.graceMs - runtime.now());
  if (spare.length > 0 && left > 0) await runtime.sleep(left);
  for (const name of spare) await buckets.drop(name);
  return spare;
}

export interface NewBucketOptions {
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
export async function buildNewBucket(
  deps: EngineDeps,
  projection: Projection,
  live: LiveAlias | undefined,
  options: NewBucketOptions,
): Promise<{ bucket: string; switched: boolean }> {
  const reusable = options.resume === false ? undefined : await reusableName(deps, projection, live?.alias);
  if (reusable === undefined && options.resume === 'only') {
    const why = 'no earlier bucket holds this version of it; a service of another version switches by itself';
    throw new RebuildRefused(projection.name, why);
  }
  const name = reusable ?? (await nextName(deps, projection, live?.alias));
  const bucket = await deps.buckets.create(name, { durable: projection.crossesAggregates });
  if (reusable === undefined) await options.seed?.(bucket);
  const count = groupCountOf(projection, deps.settings);
  const kept = keepGroups({ ...deps, projection, bucket: name, count });
  kept.own(allOf(count));
  try {
    const oldCheckpoint = async () =>
      live === undefined ? BEGINNING : checkpointOf(deps, live.alias.bucket, live.alias.groups ?? 1);
    await caughtUp(deps, projection, kept, oldCheckpoint, options);
    if (options.compare !== undefined) {
      await options.compare(bucket);
      await caughtUp(deps, projection, kept, oldCheckpoint, { ...options, onProgress: undefined });
    }
    const alias = {
      bucket: name,
      version: versionOf(projection, count, deps.marks),
      ...(count > 1 && { groups: count }),
      at: deps.runtime.now(),
    };
    const switched = await deps.aliases.point(projection.name, alias, live?.revision ?? 0);
    if (switched && options.feedMs !== undefined) await feed(deps, kept, options.feedMs);
    return { bucket: name, switched };
  } finally {
    await kept.stop();
  }
}

/** A log that stands still leaves nothing to feed once services had the time for one look, and a little. */
const QUIET_LOOKS = 1.5;

/** Lets the bucket be fed until running services have noticed it; shorter where nothing comes. */
async function feed({ runtime, settings }: EngineDeps, kept: KeptGroups, ms: number): Promise<void> {
  const quietMs = Math.min(ms, QUIET_LOOKS * settings.resolveMs);
  const { delivered } = kept;
  await runtime.sleep(quietMs);
  if (kept.delivered !== delivered) await runtime.sleep(ms - quietMs);
}

async function caughtUp(
  deps: EngineDeps,
  projection: Projection,
  kept: KeptGroups,
  oldCheckpoint: () => Promise<Position>,
  options: NewBucketOptions,
): Promise<void> {
  const { log, runtime } = deps;
  let failure: unknown;
  void kept.ended.then((error) => {
    failure = error;
  });
  const started = runtime.now();
  let first: Position | undefined;
  let end: Position | undefined;
  let eventsBefore = 0;
  for (;;) {
    if (failure !== undefined) throw failure;
    checkCancelled(options.signal);
    const target = latest(await log.head(), await oldCheckpoint());
    const applied = kept.delivered ?? kept.position ?? BEGINNING;
    if (first === undefined && kept.delivered !== undefined) {
      first = applied;
      eventsBefore = kept.events;
    }
    const seconds = Math.max((runtime.now() - started) / 1000, 0.001);
    const commitsPerSecond = distance(first ?? applied, applied) / seconds;
    options.onProgress?.({
      view: projection.name,
      applied: numberOf(applied),
      total: numberOf(target),
      eventsPerSecond: Math.max(0, kept.events - eventsBefore) / seconds,
      etaSeconds: commitsPerSecond > 0 ? distance(applied, target) / commitsPerSecond : 0,
    });
    end ??= target;
    if (!kept.running || isAfter(end, applied)) await runtime.sleep(LOOK_EVERY_MS);
    else if (await reaches(kept, target, runtime)) {
      // The old bucket has gone on meanwhile; the log's end may, as it always does.
      if (!isAfter(await oldCheckpoint(), kept.position ?? BEGINNING)) return;
    }
  }
}

/** Stores what is taken in up to a position without pacing. @returns false when it takes too long */
async function reaches(kept: KeptGroups, target: Position, runtime: Runtime): Promise<boolean> {
  const waiting = allGroups(kept.count).map(({ index }) => kept.requestCheckpoint(index, target));
  const stored = Promise.all(waiting.map((group) => group?.reached)).then(() => true);
  const late = runtime.sleep(LOOK_EVERY_MS).then(() => false);
  const inTime = await Promise.race([stored, late]);
  for (const group of waiting) group?.cancel();
  return inTime && !isAfter(target, kept.position ?? BEGINNING);
}

/** As `buildNewBucket`, with the observer looking on. */
export async function observedNewBucket(
  deps: EngineDeps,
  projection: Projection,
  live: LiveAlias | undefined,
  options: NewBucketOptions,
): Promise<{ bucket: string; switched: boolean }> {
  const { observer } = deps;
  if (observer?.aroundRebuild === undefined) return buildNewBucket(deps, projection, live, options);
  let last: RebuildProgress | undefined;
  const onProgress = (progress: RebuildProgress): void => {
    last = progress;
    options.onProgress?.(progress);
  };
  return observer.aroundRebuild({ view: projection.name, progress: () => last }, () =>
    buildNewBucket(deps, projection, live, { ...options, onProgress }),
  );
}
