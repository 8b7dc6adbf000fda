import {
  BEGINNING,
  type Bucket,
  isAfter,
  numberOf,
  type Position,
  positionBefore,
} from '../../../eventstore/index.ts';
import type { LiveAlias } from '../aliases.ts';
import { beginAt } from '../checkpoint.ts';
import type { EngineDeps } from '../engine.ts';
import { checkCancelled, RebuildRefused } from '../errors.ts';
import { allGroups, groupCountOf } from '../groups.ts';
import { isRowKey, type Projection, versionOf } from '../projection.ts';
import { checkpointOf } from './new-bucket.ts';

/** Where a rebuild begins: rows that have seen nothing later are taken over from the live bucket. */
export type StartFrom = { readonly position: Position } | { readonly time: number };

const AT_ONCE = 256;

/**
 * Copies the live rows that nothing after `from` has touched; all others are folded anew from their whole history
 * when the scan meets them. Right only where a row is the fold of one aggregate and the copied rows are of the same
 * fold; everything else is refused.
 * @returns what fills a new bucket before it is fed
 * @throws RebuildRefused, LogUnavailable
 */
export async function seedFrom(
  deps: EngineDeps,
  projection: Projection,
  live: LiveAlias | undefined,
  from: StartFrom,
  signal: AbortSignal | undefined,
): Promise<(bucket: Bucket) => Promise<void>> {
  const { buckets, log, settings } = deps;
  const count = groupCountOf(projection, settings);
  const version = versionOf(projection, count, deps.marks);
  const refuse = (why: string) => new RebuildRefused(projection.name, why);
  if (projection.crossesAggregates) {
    throw refuse(
      'its rows cross aggregates and cannot be taken back to an earlier position; rebuild all of it',
    );
  }
  if (live === undefined) throw refuse('it has no rows yet that could be kept; rebuild all of it');
  if (live.alias.version !== version) {
    const why = `its rows are of version ${live.alias.version} and this is ${version}`;
    throw refuse(`${why}; rows of another version cannot be kept, rebuild all of it`);
  }
  const source = await buckets.open(live.alias.bucket);
  const reached = await checkpointOf(deps, live.alias.bucket, count);
  const position = 'position' in from ? from.position : await positionBefore(log, from.time);
  const isWhole = Number.isSafeInteger(numberOf(position)) && !isAfter(BEGINNING, position);
  if (source === undefined || !isWhole || isAfter(position, reached)) {
    throw refuse(`the start ${numberOf(position)} is not between 0 and its checkpoint ${numberOf(reached)}`);
  }
  return async (bucket) => {
    const covers = await copyRows(source, bucket, position, signal);
    for (const group of allGroups(count)) {
      const { incarnation } = log;
      const { runtime } = deps;
      const checkpoint = { view: projection.name, version, bucket, group, incarnation, runtime };
      await beginAt(checkpoint, position, covers);
    }
  };
}

async function copyRows(
  from: Bucket,
  to: Bucket,
  through: Position,
  signal: AbortSignal | undefined,
): Promise<number> {
  let highest = 0;
  let window: Promise<void>[] = [];
  const copy = async (key: string, value: Uint8Array, position: Position): Promise<void> => {
    const result = await to.write({ key, value, expectedRevision: 0, position });
    if (result.written) highest = Math.max(highest, result.revision);
  };
  for await (const { key, value, position } of from.rows()) {
    if (!isRowKey(key) || isAfter(position, through)) continue;
    window.push(copy(key, value, position));
    if (window.length < AT_ONCE) continue;
    await Promise.all(window);
    checkCancelled(signal);
    window = [];
  }
  await Promise.all(window);
  return highest;
}
