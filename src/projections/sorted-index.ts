import type { Bucket, Row } from '../eventstore/bucket.ts';
import { LogUnavailable } from '../eventstore/errors.ts';
import type { LiveBucket } from './aliases.ts';
import { checkpointKey, parseCheckpoint } from './checkpoint.ts';
import { reasonOf } from './errors.ts';
import { allGroups } from './groups.ts';
import { isRowKey } from './projection.ts';
import { createSortedKeys, type SortedKeys } from './sorted-keys.ts';

/** Between the parts of a place: the list's name, what it is sorted by, and last the row's key. */
export const PART = '\u0000';

/** The places that a row has in the index: each `<list>\0<sorted by>\0<row key>`. */
export type PlacesOf = (row: Row) => readonly string[];

/** The row's key in a place. */
export function rowKeyOf(place: string): string {
  return place.slice(place.lastIndexOf(PART) + 1);
}

/**
 * The rows of a bucket in order, kept in this process by a watch, since a bucket has no range scan. A page costs as
 * many reads as it has rows; `docs/read-models.md` says what the index itself costs.
 */
export interface SortedIndex {
  /** The places in order, once the bucket's rows of the start are all known. @throws LogUnavailable */
  places(): Promise<SortedKeys>;
  /** The view's checkpoint as far as the watch has come: nothing from before it is missing. */
  position(): number;
  /** False once the watch has ended; a new index is needed then. */
  alive(): boolean;
  stop(): void;
}

/** Starts watching a bucket. */
export function createSortedIndex({ bucket, groups }: LiveBucket, placesOf: PlacesOf): SortedIndex {
  const controller = new AbortController();
  const checkpoints = new Map(allGroups(groups).map((group) => [checkpointKey(group), 0]));
  const known = new Map<string, readonly string[]>();
  let sorted: SortedKeys | undefined;
  let alive = true;
  let failure: unknown;
  let ready: () => void = () => undefined;
  const caughtUp = new Promise<void>((resolve) => {
    ready = resolve;
  });

  const sortFirst = (): void => {
    sorted ??= createSortedKeys(flat(known.values()));
    ready();
  };

  const take = (row: Row): void => {
    const checkpoint = checkpoints.get(row.key);
    if (checkpoint !== undefined) {
      checkpoints.set(row.key, parseCheckpoint(row)?.position ?? checkpoint);
      return;
    }
    if (!isRowKey(row.key)) return;
    const before = known.get(row.key) ?? [];
    const now = row.value.length === 0 ? [] : placesOf(row);
    if (now.length === 0) known.delete(row.key);
    else known.set(row.key, now);
    if (sorted === undefined) return;
    for (const place of before) if (!now.includes(place)) sorted.delete(place);
    for (const place of now) if (!before.includes(place)) sorted.add(place);
  };

  const watch = async (bucket: Bucket): Promise<void> => {
    try {
      const { signal } = controller;
      for await (const row of bucket.watch({ signal, caughtUp: sortFirst })) take(row);
    } catch (error) {
      failure = error;
    }
    alive = false;
    ready();
  };
  void watch(bucket);

  return {
    places: async () => {
      await caughtUp;
      if (alive && sorted !== undefined) return sorted;
      throw new LogUnavailable(`the watch on ${bucket.name} ended: ${reasonOf(failure)}`, failure);
    },
    position: () => Math.min(...checkpoints.values()),
    alive: () => alive,
    stop: () => controller.abort(),
  };
}

function* flat(lists: Iterable<readonly string[]>): Iterable<string> {
  for (const list of lists) yield* list;
}
