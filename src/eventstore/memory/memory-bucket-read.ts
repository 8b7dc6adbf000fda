import type { Row } from '../bucket.ts';
import type { MemoryBucketStore } from './memory-bucket-store.ts';
import { arrive, type Place } from './memory-transport.ts';

const CHUNK = 100;

/** The last write of a key among the first `end` writes of the bucket. */
export function lastUntil(store: MemoryBucketStore, key: string, end: number): Row | undefined {
  const last = store.last(key);
  if (last === undefined || last.revision <= end) return last;
  return store.writes.slice(0, end).findLast((row) => row.key === key);
}

/** Every row that lives now, in the order of their last write. */
export async function* liveRows(
  store: MemoryBucketStore,
  place: Place,
  { prefix = '', signal }: { prefix?: string; signal?: AbortSignal } = {},
): AsyncGenerator<Row, void> {
  await arrive(place, `list ${store.name}`);
  const rows = store.writes.filter(
    (row) => row.value.length > 0 && row.key.startsWith(prefix) && store.last(row.key) === row,
  );
  for (const [index, row] of rows.entries()) {
    if (signal?.aborted) return;
    if (index > 0 && index % CHUNK === 0) await arrive(place, `list ${store.name} further`);
    yield row;
  }
}

/** The last write of every key, tombstones too, and then each write; one that is overtaken on the way may be left out. */
export async function* changes(
  store: MemoryBucketStore,
  place: Place,
  { signal, caughtUp }: { signal: AbortSignal; caughtUp?: () => void },
): AsyncGenerator<Row, void> {
  await arrive(place, `watch ${store.name}`);
  const start = store.writes.length;
  let told = false;
  let seen = 0;
  while (!signal.aborted) {
    if (!told && seen >= start) {
      told = true;
      caughtUp?.();
    }
    if (seen >= store.writes.length) {
      await store.grown.next(signal);
      if (!signal.aborted) await arrive(place, `change of ${store.name}`);
      continue;
    }
    const row = store.writes[seen++];
    if (row !== undefined && store.last(row.key) === row) yield row;
  }
}
