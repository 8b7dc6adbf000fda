import {
  BEGINNING,
  type Bucket,
  earliest,
  LogUnavailable,
  type Position,
  type Row,
  reasonOf,
} from '../../../eventstore/index.ts';
import type { LiveBucket } from '../aliases.ts';
import { checkpointKey, parseCheckpoint } from '../checkpoint.ts';
import { allGroups } from '../groups.ts';
import { isRowKey } from '../projection.ts';

/** A set of strings in ascending order of their UTF-16 units. */
export interface SortedKeys {
  readonly size: number;
  add(key: string): void;
  delete(key: string): void;
  /** Up to `limit` keys that begin with `prefix` and are above `after`, ascending; undefined = from the first. */
  after(prefix: string, after: string | undefined, limit: number): readonly string[];
  /** Up to `limit` keys that begin with `prefix` and are below `before`, descending; undefined = from the last. */
  before(prefix: string, before: string | undefined, limit: number): readonly string[];
}

/** A change moves at most this many keys, and a million keys are a thousand chunks. */
const CHUNK = 1_024;

/** The first index of ascending `items` for which `reached` holds; their number when it holds for none. */
function search<T>(items: readonly T[], reached: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (reached(items[middle] as T)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A set of these keys, in any order. */
export function createSortedKeys(start: Iterable<string> = []): SortedKeys {
  const sorted = [...new Set(start)].sort();
  const chunks: string[][] = [];
  for (let i = 0; i < sorted.length; i += CHUNK) chunks.push(sorted.slice(i, i + CHUNK));
  let size = sorted.length;

  /** Where the first key that is not below `key` stands; one past the last chunk when there is none. */
  const find = (key: string): { chunk: number; at: number } => {
    const chunk = search(chunks, (keys) => (keys.at(-1) ?? '') >= key);
    return { chunk, at: search(chunks[chunk] ?? [], (other) => other >= key) };
  };

  const add = (key: string): void => {
    const found = find(key);
    const chunk = Math.min(found.chunk, chunks.length - 1);
    const keys = chunks[chunk];
    if (keys === undefined) chunks.push([key]);
    else {
      const at = chunk === found.chunk ? found.at : keys.length;
      if (keys[at] === key) return;
      keys.splice(at, 0, key);
      if (keys.length > 2 * CHUNK) chunks.splice(chunk + 1, 0, keys.splice(CHUNK));
    }
    size++;
  };

  return {
    get size() {
      return size;
    },
    add,
    delete: (key) => {
      const { chunk, at } = find(key);
      const keys = chunks[chunk];
      if (keys?.[at] !== key) return;
      keys.splice(at, 1);
      size--;
      if (keys.length === 0) chunks.splice(chunk, 1);
    },
    after: (prefix, after, limit) => {
      const result: string[] = [];
      let { chunk, at } = find(after === undefined || after < prefix ? prefix : after);
      for (; chunk < chunks.length; chunk++, at = 0) {
        const keys = chunks[chunk] ?? [];
        for (; at < keys.length; at++) {
          const key = keys[at] ?? '';
          if (key === after) continue;
          if (result.length >= limit || !key.startsWith(prefix)) return result;
          result.push(key);
        }
      }
      return result;
    },
    before: (prefix, before, limit) => {
      const result: string[] = [];
      const past = `${prefix}\uffff`;
      let { chunk, at } = find(before === undefined || before > past ? past : before);
      for (; chunk >= 0; chunk--, at = chunks[chunk]?.length ?? 0) {
        const keys = chunks[chunk] ?? [];
        for (let i = at - 1; i >= 0; i--) {
          const key = keys[i] ?? '';
          if (result.length >= limit || !key.startsWith(prefix)) return result;
          result.push(key);
        }
      }
      return result;
    },
  };
}

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
  position(): Position;
  /** False once the watch has ended; a new index is needed then. */
  alive(): boolean;
  /**
   * Keeps the index while somebody reads. One that nobody reads any more ends once it was told of more changes than
   * it has rows: from then on to make it anew costs less than to go on.
   */
  use<T>(read: () => Promise<T>): Promise<T>;
  stop(): void;
}

/** An index of few rows is not ended by a busy minute. */
const SPARE_CHANGES = 1_000;

/** Starts watching a bucket. */
export function createSortedIndex({ bucket, groups }: LiveBucket, placesOf: PlacesOf): SortedIndex {
  const controller = new AbortController();
  const checkpoints = new Map(allGroups(groups).map((group) => [checkpointKey(group), BEGINNING]));
  const known = new Map<string, readonly string[]>();
  let sorted: SortedKeys | undefined;
  let alive = true;
  let readers = 0;
  let unread = 0;
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

  const isTooDear = (): boolean =>
    sorted !== undefined && readers === 0 && ++unread > known.size + SPARE_CHANGES;

  const watch = async (bucket: Bucket): Promise<void> => {
    try {
      const { signal } = controller;
      for await (const row of bucket.watch({ signal, caughtUp: sortFirst })) {
        take(row);
        if (isTooDear()) controller.abort();
      }
    } catch (error) {
      failure = error;
    }
    alive = false;
    sorted = undefined;
    known.clear();
    ready();
  };
  void watch(bucket);

  return {
    places: async () => {
      await caughtUp;
      if (alive && sorted !== undefined) return sorted;
      throw new LogUnavailable(`the watch on ${bucket.name} ended: ${reasonOf(failure)}`, failure);
    },
    position: () => [...checkpoints.values()].reduce(earliest),
    alive: () => alive && !controller.signal.aborted,
    use: async (read) => {
      readers++;
      try {
        return await read();
      } finally {
        readers--;
        unread = 0;
      }
    },
    stop: () => controller.abort(),
  };
}

function* flat(lists: Iterable<readonly string[]>): Iterable<string> {
  for (const list of lists) yield* list;
}
