import type { Row, RowWrite } from '../bucket.ts';
import { createWake, type Wake } from './wake.ts';

/** What a server would hold of a bucket, shared by all the handles that open it. */
export interface MemoryBucketStore {
  readonly name: string;
  /** Every write ever, tombstones included, in order: the one at index i has revision i + 1. */
  readonly writes: readonly Row[];
  /** The last write of a key. */
  last(key: string): Row | undefined;
  /** Writes all of the rows and returns the last one's revision; or none when one is not as expected. */
  put(rows: readonly RowWrite[]): number | undefined;
  readonly grown: Wake;
}

const TOMBSTONE = new Uint8Array(0);

/** An empty bucket in memory. */
export function createMemoryBucketStore(name: string): MemoryBucketStore {
  const writes: Row[] = [];
  const byKey = new Map<string, Row>();
  const grown = createWake();
  return {
    name,
    writes,
    grown,
    last: (key) => byKey.get(key),
    put: (rows) => {
      if (rows.some((row) => (byKey.get(row.key)?.revision ?? 0) !== row.expectedRevision)) return undefined;
      for (const { key, value, position } of rows) {
        const row = { key, value: value?.slice() ?? TOMBSTONE, revision: writes.length + 1, position };
        writes.push(row);
        byKey.set(key, row);
      }
      grown.all();
      return writes.length;
    },
  };
}
