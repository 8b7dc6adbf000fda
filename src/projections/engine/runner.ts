import {
  BEGINNING,
  backoffMs,
  distance,
  type Marks,
  type MarkWatch,
  mayHeal,
  type Position,
  reasonOf,
} from '../../eventstore/index.ts';
import { type Alias, type AliasWatch, bucketName, type LiveAlias } from './aliases.ts';
import type { Waiting } from './checkpoint.ts';
import type { EngineDeps } from './engine.ts';
import { bucketGone, RowsLost } from './errors.ts';
import { groupCountOf } from './groups.ts';
import { allOf, type KeptGroups, keepGroups } from './kept-groups.ts';
import type { Sharing } from './members.ts';
import { differInSkips } from './passed/skips.ts';
import { type Projection, versionOf } from './projection.ts';
import type { ViewStatus } from './reading.ts';
import { createBucketWatch } from './rebuild/lost-bucket.ts';
import { dropSpare, observedNewBucket, reusableName } from './rebuild/new-bucket.ts';
import type { View } from './view.ts';

/** Keeps one projection running on whichever bucket its alias names. */
export interface Runner {
  readonly projection: Projection;
  status(): ViewStatus;
  /** Waits for the checkpoint of a group of a bucket; undefined when it does not run here. */
  requestCheckpoint(bucket: string, index: number, position: Position): Waiting | undefined;
  /** What the view of a group of a bucket says; undefined when it does not run here. */
  coveredBy(bucket: string, index: number, position: Position): Position | Promise<Position> | undefined;
  /** Its groups on the live bucket that are at work now. */
  views(): readonly View[];
  stop(): Promise<void>;
}

interface Live {
  readonly bucket: string;
  readonly kept: KeptGroups;
}

/**
 * Starts a projection. Without a bucket it makes the first one; a bucket of another version is left to its readers
 * until a new one is filled. A switch by another process is followed; the bucket left behind is fed for `graceMs`,
 * for readers that have not noticed yet. A bucket that is lost is filled anew beside itself (protocol 23), and so is one
 * that passes over other positions than operators have marked (protocol 20).
 */
export function startRunner(
  deps: Omit<EngineDeps, 'marks' | 'aliases'> & {
    aliases: AliasWatch;
    marked: MarkWatch;
    sharing: Sharing | undefined;
    sameLog: () => Promise<boolean>;
    onError: (view: string, error: unknown) => void;
  },
  projection: Projection,
): Runner {
  const { aliases, buckets, runtime, settings, reader, sharing, sameLog, onError, marked } = deps;
  const count = groupCountOf(projection, settings);
  const versionAt = (marks: Marks): string => versionOf(projection, count, marks);
  const retired = new Set<KeptGroups>();
  const stopping = new AbortController();
  const stop = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const stopped = stopping.signal;
  const stateOf = createBucketWatch(deps);
  let live: Live | undefined;
  let lastError: unknown;
  let gone: unknown;
  /** The bucket that lost rows which cannot be folded one by one: it is filled anew as if it were gone. */
  let rowsLost: string | undefined;
  /** The version that could not be built. */
  let refused: string | undefined;

  const retire = async (kept: KeptGroups): Promise<void> => {
    retired.add(kept);
    await Promise.race([runtime.sleep(settings.graceMs), stop]);
    await kept.stop();
    retired.delete(kept);
  };

  const share = async () => (sharing === undefined ? allOf(count) : sharing.groupsOf(projection.name, count));

  const serve = async (name: string, marks: Marks): Promise<void> => {
    const mine = await share();
    if (stopped.aborted) return;
    if (live !== undefined) void retire(live.kept);
    const kept = keepGroups({ ...deps, marks, projection, bucket: name, count });
    kept.own(mine);
    live = { bucket: name, kept };
    lastError = undefined;
    void kept.ended.then((error) => {
      if (error === undefined) return;
      if (error instanceof RowsLost) [rowsLost, lastError] = [name, error];
      onError(projection.name, error);
    });
  };

  const begin = async (marks: Marks): Promise<void> => {
    // Where the alias was lost, its bucket may be there yet.
    const reusable = await reusableName({ ...deps, marks }, projection, undefined);
    const bucket = reusable ?? bucketName(settings.prefix, projection.name, 1);
    const version = versionAt(marks);
    await buckets.create(bucket, { durable: projection.crossesAggregates });
    const alias: Alias = { bucket, version, ...(count > 1 && { groups: count }) };
    await aliases.point(projection.name, alias, 0);
  };

  /** One instance builds; the others go on looking, and take over when it has gone. */
  const build = async (found: LiveAlias, marks: Marks): Promise<void> => {
    const builders = await sharing?.groupsOf(projection.name, 1);
    if (builders?.has(0) === false || refused === versionAt(marks)) return;
    const since = runtime.now();
    const engine = { ...deps, marks };
    const built = await buildOnce(engine, found);
    if (stopped.aborted || built === undefined) return;
    await look();
    if (built.switched) {
      await dropSpare(engine, projection, new Set([built.bucket, found.alias.bucket]), since);
    }
  };

  /** What cannot be built is not tried again before other positions are passed over. */
  const buildOnce = async (engine: EngineDeps, found: LiveAlias) => {
    try {
      return await observedNewBucket(engine, projection, found, { resume: true, signal: stopped });
    } catch (error) {
      if (mayHeal(error) || stopped.aborted) throw error;
      refused = versionAt(engine.marks);
      lastError = error;
      onError(projection.name, error);
      return undefined;
    }
  };

  /** Sees to it that the live bucket is there. True when it is not, or was not: nothing else is to be done now. */
  const healed = async (found: LiveAlias, marks: Marks): Promise<boolean> => {
    const isAtWork = live?.bucket === found.alias.bucket && live.kept.running;
    const state = rowsLost === found.alias.bucket ? 'lost' : await stateOf(found, isAtWork);
    if (state === 'there') {
      gone = undefined;
      return false;
    }
    gone ??= rowsLost === undefined ? bucketGone(projection.name, found.alias.bucket) : lastError;
    // A log that was made anew would be folded as if it were this one; whoever starts again opens that one.
    if (state === 'missing' || !(await sameLog())) return true;
    const { kept } = live ?? {};
    live = undefined;
    await kept?.stop();
    await build(found, marks);
    return true;
  };

  const look = async (): Promise<void> => {
    const marks = await marked.latest();
    const version = versionAt(marks);
    const found = await aliases.read(projection.name);
    if (found === undefined) {
      await begin(marks);
      return look();
    }
    if (found.alias.version === version) {
      if (await healed(found, marks)) return;
      if (found.alias.bucket !== live?.bucket) return serve(found.alias.bucket, marks);
      live.kept.own(await share());
      await live.kept.verify();
      [lastError, refused] = [undefined, undefined];
      return;
    }
    // A newer service has switched the view to its own version: this one feeds the old bucket until it is replaced.
    if (live !== undefined && !differInSkips(found.alias.version, version)) return;
    // Another process may know of newer marks, and have built for them.
    const newest = await marked.fresh();
    if (found.alias.version !== versionAt(newest)) await build(found, newest);
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; !stopped.aborted; attempt++) {
      let failing: number | undefined;
      try {
        await look();
        attempt = 0;
      } catch (error) {
        if (stopped.aborted) return;
        lastError = error;
        if (!mayHeal(error)) {
          onError(projection.name, error);
          return;
        }
        failing = backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs);
      }
      await Promise.race([runtime.sleep(failing ?? aliases.untilNextLook()), stop]);
    }
  };

  const running = run();
  return {
    projection,
    status: () => {
      const error = gone ?? live?.kept.lastError ?? lastError;
      const idle = live?.kept.owned === 0;
      const position = live?.kept.position ?? (idle ? reader.head() : BEGINNING);
      return {
        view: projection.name,
        position,
        lag: distance(position, reader.head()),
        running: live?.kept.running ?? false,
        lastError: error === undefined ? undefined : reasonOf(error),
        groups: { owned: live?.kept.owned ?? 0, of: count },
        deadLetters: live?.kept.deadLetters() ?? [],
      };
    },
    requestCheckpoint: (bucket, index, position) =>
      live?.bucket === bucket ? live.kept.requestCheckpoint(index, position) : undefined,
    coveredBy: (bucket, index, position) =>
      live?.bucket === bucket ? live.kept.coveredBy(index, position) : undefined,
    views: () => live?.kept.views() ?? [],
    stop: async () => {
      stopping.abort();
      await Promise.all([live?.kept.stop(), ...[...retired].map((kept) => kept.stop()), running]);
    },
  };
}
