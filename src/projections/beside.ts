import type { Bucket } from '../eventstore/bucket.ts';
import { EventStoreError } from '../eventstore/errors.ts';
import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { type Alias, type Aliases, bucketName, bucketsOf } from './aliases.ts';
import type { Buckets } from './buckets.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { FactDecoder } from './facts.ts';
import { type KeptView, keepView } from './kept-view.ts';
import { type Projection, versionOf } from './projection.ts';
import type { Reader } from './reader.ts';
import type { ProjectionSettings } from './settings.ts';

/** What every part that runs views needs. */
export interface EngineDeps {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly aliases: Aliases;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly settings: ProjectionSettings;
  readonly reader: Reader;
}

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
  /** Take over a bucket that an earlier, unfinished attempt of the same version left; otherwise begin with an empty one. */
  readonly resume: boolean;
  readonly onProgress?: ((progress: RebuildProgress) => void) | undefined;
  /** Gives up; what is filled so far stays and can be resumed. */
  readonly signal?: AbortSignal | undefined;
}

const LOOK_EVERY_MS = 100;

/**
 * Fills a bucket beside the live one and points the view at it once it has reached both the live checkpoint and the
 * log's end. Readers keep the old bucket until then.
 * @returns the bucket, and false when another process has switched the view first
 * @throws what stopped the view; the live bucket is then as it was
 */
export async function buildBeside(
  deps: EngineDeps,
  projection: Projection,
  live: { alias: Alias; revision: number } | undefined,
  options: BesideOptions,
): Promise<{ bucket: string; switched: boolean }> {
  const name = await chooseName(deps, projection, live?.alias, options.resume);
  const bucket = await deps.buckets.create(name, { durable: projection.crossesAggregates });
  const old = live === undefined ? undefined : await deps.buckets.open(live.alias.bucket);
  const kept = keepView({ ...deps, projection, bucket });
  try {
    await caughtUp(deps, projection, kept, old, options);
    const alias = { bucket: name, version: versionOf(projection) };
    const switched = await deps.aliases.point(projection.name, alias, live?.revision ?? 0);
    return { bucket: name, switched };
  } finally {
    await kept.stop();
  }
}

async function chooseName(
  deps: EngineDeps,
  projection: Projection,
  live: Alias | undefined,
  resume: boolean,
): Promise<string> {
  const { buckets, settings, log } = deps;
  const all = await bucketsOf(buckets, settings.prefix, projection.name);
  const current = all.find(({ name }) => name === live?.bucket)?.n ?? 0;
  if (resume) {
    for (const { name, n } of all) {
      if (n <= current) continue;
      const bucket = await buckets.open(name);
      const stored = bucket === undefined ? undefined : await readCheckpoint(bucket);
      const { version, incarnation } = stored?.value ?? {};
      if (stored === undefined) return name;
      if (version === versionOf(projection) && incarnation === log.incarnation) return name;
    }
  }
  return bucketName(settings.prefix, projection.name, (all.at(-1)?.n ?? 0) + 1);
}

async function caughtUp(
  deps: EngineDeps,
  projection: Projection,
  kept: KeptView,
  old: Bucket | undefined,
  options: BesideOptions,
): Promise<void> {
  const { log, runtime } = deps;
  let failure: unknown;
  void kept.ended.then((error) => {
    failure = error;
  });
  const started = runtime.now();
  let first: number | undefined;
  for (;;) {
    if (failure !== undefined) throw failure;
    if (options.signal?.aborted) throw new EventStoreError('view/cancelled', 'The rebuild was cancelled.');
    const head = await log.head();
    const target = Math.max(head, await liveCheckpoint(log, old));
    const applied = kept.view?.delivered ?? kept.position;
    if (kept.view !== undefined) first ??= applied;
    const seconds = Math.max((runtime.now() - started) / 1000, 0.001);
    const commitsPerSecond = (applied - (first ?? applied)) / seconds;
    options.onProgress?.({
      view: projection.name,
      applied,
      total: target,
      eventsPerSecond: (kept.view?.events ?? 0) / seconds,
      etaSeconds: commitsPerSecond > 0 ? Math.max(0, target - applied) / commitsPerSecond : 0,
    });
    if (kept.view !== undefined && kept.view.checkpoint >= target) return;
    await runtime.sleep(LOOK_EVERY_MS);
  }
}

/** A live bucket of another life of the log says nothing about this one's positions. */
async function liveCheckpoint(log: Log, bucket: Bucket | undefined): Promise<number> {
  const stored = bucket === undefined ? undefined : await readCheckpoint(bucket);
  return stored?.value.incarnation === log.incarnation ? stored.position : 0;
}
