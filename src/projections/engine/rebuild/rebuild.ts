import {
  BEGINNING,
  type Bucket,
  groupOfSlot,
  type Log,
  type Position,
  type Runtime,
  readMarks,
  type StreamRef,
  slotOf,
  smallerBatches,
} from '../../../eventstore/index.ts';
import { type Buckets, createAliases } from '../aliases.ts';
import { refoldRow, setMark } from '../dead-letters.ts';
import type { EngineDeps } from '../engine.ts';
import { FoldFailure, RebuildRefused, UnappliedEvent } from '../errors.ts';
import { createFactDecoder, passing } from '../facts.ts';
import { groupCountOf } from '../groups.ts';
import type { ProjectionObserver, RebuildProgress } from '../observer.ts';
import { passedBy } from '../passed/skips.ts';
import { type Projection, versionOf } from '../projection.ts';
import { createReader } from '../reader.ts';
import { defaultProjectionSettings, type ProjectionSettings } from '../settings.ts';
import { type Comparison, compareBuckets, type Difference } from './difference.ts';
import { buildNewBucket, dropSpare, observedNewBucket } from './new-bucket.ts';
import { type StartFrom, seedFrom } from './start-from.ts';

/** How often a throttled scan hands something on. */
const PARTS_PER_SECOND = 20;

/** The same log, whose scans deliver at most so many commits a second, in even parts. */
export function throttled(log: Log, runtime: Runtime, commitsPerSecond: number): Log {
  const most = Math.max(1, Math.floor(commitsPerSecond / PARTS_PER_SECOND));
  return {
    ...log,
    scan: async function* (options) {
      let due = runtime.now();
      for await (const batch of log.scan(options)) {
        for (const part of smallerBatches(batch, most)) {
          const left = due - runtime.now();
          if (left > 0) await runtime.sleep(left);
          if (options.signal?.aborted) return;
          // Time in which nothing came is not made up for.
          due = Math.max(due, runtime.now()) + (part.commits.length / commitsPerSecond) * 1_000;
          yield part;
        }
      }
    },
  };
}

/** What a rebuild came to. */
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

/** What a rebuild works on. */
export interface RebuildDeps {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly projection: Projection;
  readonly runtime: Runtime;
  /** `groups` must be what the running service has. */
  readonly settings?: Partial<ProjectionSettings>;
  readonly observer?: ProjectionObserver | undefined;
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
 * @throws UnappliedEvent when an event cannot be applied, RebuildRefused, LogUnavailable, EventStoreError
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
    const { bucket, switched } = await observedNewBucket(engine, projection, live, {
      resume,
      onProgress: deps.onProgress,
      signal,
      seed,
      compare: onDifference && compare,
      feedMs: FEED_LOOKS * engine.settings.resolveMs,
    });
    const keep = new Set([bucket, live?.alias.bucket]);
    const dropped = switched ? await dropSpare(engine, projection, keep, live?.alias.at ?? started) : [];
    return { bucket, switched, dropped, ...(comparison && { comparison }) };
  });
}

/**
 * Points a view back at the bucket that was live before the last switch, once that one has caught up: nobody reads
 * something older than before.
 * @throws RebuildRefused when there is none of this version and this incarnation of the log; otherwise as `rebuild`
 */
export async function rollback(
  deps: RebuildDeps & Pick<RebuildOptions, 'onProgress' | 'signal'>,
): Promise<RebuildResult> {
  const { projection } = deps;
  return withEngine(deps, async (engine) => {
    const live = await engine.aliases.read(projection.name);
    const { bucket, switched } = await buildNewBucket(engine, projection, live, {
      resume: 'only',
      onProgress: deps.onProgress,
      signal: deps.signal,
      feedMs: FEED_LOOKS * engine.settings.resolveMs,
    });
    return { bucket, switched, dropped: [] };
  });
}

/** An engine for one piece of work, in a process that need not run the views. */
export async function withEngine<T>(
  deps: RebuildDeps & Pick<RebuildOptions, 'commitsPerSecond'>,
  work: (engine: EngineDeps) => Promise<T>,
): Promise<T> {
  const { buckets, projection, runtime, commitsPerSecond, observer } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const log = commitsPerSecond === undefined ? deps.log : throttled(deps.log, runtime, commitsPerSecond);
  const aliases = createAliases(buckets, settings.prefix);
  const marks = await readMarks(log);
  const decode = passing(createFactDecoder(projection.sources), passedBy(projection, marks));
  const reader = createReader({ log, decode, runtime, settings });
  try {
    return await work({ log, buckets, aliases, decode, runtime, settings, reader, observer, marks });
  } finally {
    reader.stop();
  }
}

/**
 * Folds the row of one aggregate again from the log and puts it in the place of what the live bucket has, while
 * services run. A dead letter is released by it: the runner of its group goes on with it within `resolveMs`.
 * @returns the position up to which the row has seen the log
 * @throws RebuildRefused; UnappliedEvent when the row still cannot be folded, and nothing is changed; LogUnavailable
 */
export async function refoldOne(
  deps: RebuildDeps & { readonly id: string },
): Promise<{ position: Position }> {
  const { projection, runtime, id } = deps;
  const refuse = (why: string) => new RebuildRefused(projection.name, why);
  if (projection.crossesAggregates) throw refuse('its rows cross aggregates; rebuild all of it');
  return withEngine(deps, async (engine) => {
    const count = groupCountOf(projection, engine.settings);
    const alias = (await engine.aliases.read(projection.name))?.alias;
    const bucket = alias === undefined ? undefined : await engine.buckets.open(alias.bucket);
    if (bucket === undefined || alias?.version !== versionOf(projection, count, engine.marks)) {
      throw refuse('its live bucket is of another version; rebuild all of it');
    }
    const stream = await find(engine.log, projection.sources, id);
    if (stream === undefined) throw refuse(`the log has no aggregate ${id} that it reads`);
    try {
      const { position } = await refoldRow({ ...engine, projection, bucket }, stream);
      const group = { count, index: groupOfSlot(slotOf(id), count) };
      const at = runtime.now();
      const mark = { stream, state: 'released', position: BEGINNING, reason: 'folded again', at } as const;
      await setMark(bucket, group, mark, () => true);
      return { position };
    } catch (error) {
      if (error instanceof FoldFailure)
        throw new UnappliedEvent(projection.name, error.position, error.cause, engine.settings.skipHint);
      throw error;
    }
  });
}

async function find(
  log: Log,
  sources: readonly { readonly category: string }[],
  id: string,
): Promise<StreamRef | undefined> {
  for (const { category } of sources) {
    const stream = { category, id };
    const { commits } = await log.read(stream, { after: 0, confirm: true });
    if (commits.length > 0) return stream;
  }
  return undefined;
}
