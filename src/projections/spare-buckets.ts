import type { Runtime } from '../eventstore/runtime.ts';
import { type Alias, bucketName, bucketsOf } from './aliases.ts';
import { readCheckpoint, readLowest } from './checkpoint.ts';
import type { EngineDeps } from './engine.ts';
import { type GroupCount, groupCountOf } from './groups.ts';
import { type Projection, versionOf } from './projection.ts';

/** The name that no bucket of the view has had yet. */
export async function nextName(deps: EngineDeps, projection: Projection): Promise<string> {
  const { buckets, settings } = deps;
  const all = await bucketsOf(buckets, settings.prefix, projection.name);
  return bucketName(settings.prefix, projection.name, (all.at(-1)?.n ?? 0) + 1);
}

/**
 * A bucket other than the live one that only has to be caught up: of this version and this life of the log. Of
 * several the one that has come furthest; undefined when there is none. @throws LogUnavailable
 */
export async function reusableName(
  deps: EngineDeps,
  projection: Projection,
  live: Alias | undefined,
): Promise<string | undefined> {
  const { buckets, settings, log } = deps;
  const count = groupCountOf(projection, settings);
  let best: { name: string; position: number } | undefined;
  for (const { name } of await bucketsOf(buckets, settings.prefix, projection.name)) {
    if (name === live?.bucket) continue;
    const bucket = await buckets.open(name);
    if (bucket === undefined) continue;
    const [stored, lowest] = await Promise.all([
      readCheckpoint(bucket, { count, index: 0 }),
      readLowest(bucket, count),
    ]);
    const { version, incarnation } = stored?.value ?? {};
    if (version !== versionOf(projection, count) || incarnation !== log.incarnation) continue;
    // Nobody could go on with it: it covers commits that this log does not have (protocol 15).
    if (await liesBeyond(deps, lowest?.position ?? 0)) continue;
    const position = lowest?.position ?? 0;
    if (best === undefined || position >= best.position) best = { name, position };
  }
  return best?.name;
}

/**
 * What a bucket's checkpoint says of the log; 0 for one of another life of the log, or beyond its end.
 * @throws LogUnavailable
 */
export async function checkpointOf(deps: EngineDeps, name: string, count: GroupCount): Promise<number> {
  const bucket = await deps.buckets.open(name);
  const stored = bucket === undefined ? undefined : await readLowest(bucket, count);
  if (stored?.value.incarnation !== deps.log.incarnation) return 0;
  return (await liesBeyond(deps, stored.position)) ? 0 : stored.position;
}

/** Whether a checkpoint that was read before covers more than there is; a sound one never does. */
async function liesBeyond({ log }: EngineDeps, position: number): Promise<boolean> {
  return position > 0 && position > (await log.head());
}

/**
 * Deletes the view's buckets that are not in `keep`, but not before `graceMs` after `since`: until then a reader may
 * hold one of them.
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
  if (spare.length > 0) await sleepUntil(runtime, since + settings.graceMs);
  for (const name of spare) await buckets.drop(name);
  return spare;
}

async function sleepUntil(runtime: Runtime, time: number): Promise<void> {
  const left = time - runtime.now();
  if (left > 0) await runtime.sleep(left);
}
