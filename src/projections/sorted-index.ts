import type { Bucket } from '../eventstore/bucket.ts';
import { LogUnavailable } from '../eventstore/errors.ts';
import { CHECKPOINT_KEY, parseCheckpoint } from './checkpoint.ts';
import { reasonOf } from './errors.ts';
import { isRowKey } from './projection.ts';
import { createSortedKeys, type SortedKeys } from './sorted-keys.ts';

/**
 * The keys of a bucket in order, kept in this process by a watch, since a bucket has no range scan: some 100 bytes
 * a key, and a page costs as many reads as it has rows.
 */
export interface SortedIndex {
  /** Up to `limit` keys above `after`, once the bucket's rows of the start are all known. @throws LogUnavailable */
  keys(after: string | undefined, limit: number): Promise<readonly string[]>;
  /** The view's checkpoint as far as the watch has come: no key from before it is missing. */
  position(): number;
  /** False once the watch has ended; a new index is needed then. */
  alive(): boolean;
  stop(): void;
}

/** Starts watching a bucket. */
export function createSortedIndex(bucket: Bucket): SortedIndex {
  const controller = new AbortController();
  const first = new Set<string>();
  let keys: SortedKeys | undefined;
  let position = 0;
  let alive = true;
  let failure: unknown;
  let ready: () => void = () => undefined;
  const caughtUp = new Promise<void>((resolve) => {
    ready = resolve;
  });

  const sortFirst = (): void => {
    keys ??= createSortedKeys(first);
    first.clear();
    ready();
  };

  const watch = async (): Promise<void> => {
    try {
      for await (const row of bucket.watch({ signal: controller.signal, caughtUp: sortFirst })) {
        if (row.key === CHECKPOINT_KEY) position = parseCheckpoint(row)?.position ?? position;
        else if (!isRowKey(row.key)) continue;
        else if (row.value.length === 0) (keys ?? first).delete(row.key);
        else (keys ?? first).add(row.key);
      }
    } catch (error) {
      failure = error;
    }
    alive = false;
    ready();
  };
  void watch();

  return {
    keys: async (after, limit) => {
      await caughtUp;
      if (alive && keys !== undefined) return keys.after(after, limit);
      throw new LogUnavailable(`the watch on ${bucket.name} ended: ${reasonOf(failure)}`, failure);
    },
    position: () => position,
    alive: () => alive,
    stop: () => controller.abort(),
  };
}
