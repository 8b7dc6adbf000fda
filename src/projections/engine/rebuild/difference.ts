import {
  BEGINNING,
  type Bucket,
  isAfter,
  latest,
  type Row,
  type Runtime,
} from '../../../eventstore/index.ts';
import type { LiveBucket } from '../aliases.ts';
import { readLowest } from '../checkpoint.ts';
import { checkCancelled } from '../errors.ts';
import { isRowKey } from '../projection.ts';

/** A key at which the new bucket shows something else than the old one. */
export interface Difference {
  readonly key: string;
  readonly kind: 'changed' | 'only-old' | 'only-new';
}

export interface Comparison {
  /** Rows of the new bucket. */
  readonly rows: number;
  readonly differing: number;
  /** Rows that kept changing, or that the old bucket had not reached: nothing can be said of them. */
  readonly open: number;
}

/** Rows that are compared at once; all that is held in memory. */
const AT_ONCE = 64;
const TRIES = 20;
const PAUSE_MS = 50;

/**
 * Compares two buckets of a view, both of which may still be fed. Rows are compared as bytes, and only once both
 * buckets have passed the positions of both rows.
 * @throws LogUnavailable, EventStoreError `view/cancelled`
 */
export async function compareBuckets(
  old: LiveBucket,
  fresh: LiveBucket,
  options: {
    runtime: Runtime;
    onDifference?: ((difference: Difference) => void) | undefined;
    signal?: AbortSignal | undefined;
  },
): Promise<Comparison> {
  const { runtime, onDifference, signal } = options;
  const total = { rows: 0, differing: 0, open: 0 };

  const judge = async (key: string): Promise<void> => {
    const verdict = await judged(old, fresh, key, runtime);
    if (verdict === 'open') total.open++;
    else if (verdict !== 'same') {
      total.differing++;
      onDifference?.({ key, kind: verdict });
    }
  };
  const compare = async (row: Row): Promise<void> => {
    total.rows++;
    const other = await old.bucket.get(row.key);
    if (other === undefined || !sameBytes(row, other)) await judge(row.key);
  };
  const findLost = async (row: Row): Promise<void> => {
    const other = await fresh.bucket.get(row.key);
    if (other === undefined || other.value.length === 0) await judge(row.key);
  };

  await forEachRow(fresh.bucket, compare, signal);
  await forEachRow(old.bucket, findLost, signal);
  return total;
}

async function forEachRow(
  bucket: Bucket,
  visit: (row: Row) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let window: Promise<void>[] = [];
  for await (const row of bucket.rows(signal === undefined ? {} : { signal })) {
    if (!isRowKey(row.key)) continue;
    window.push(visit(row));
    if (window.length < AT_ONCE) continue;
    await Promise.all(window);
    window = [];
  }
  await Promise.all(window);
  checkCancelled(signal);
}

async function judged(
  old: LiveBucket,
  fresh: LiveBucket,
  key: string,
  runtime: Runtime,
): Promise<Difference['kind'] | 'same' | 'open'> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await runtime.sleep(PAUSE_MS);
    const reached = await Promise.all([old, fresh].map((live) => readLowest(live.bucket, live.groups)));
    const rows = await Promise.all([old, fresh].map(({ bucket }) => bucket.get(key, { leader: true })));
    const [before, after] = rows;
    if (sameBytes(before, after)) return 'same';
    const newest = latest(before?.position ?? BEGINNING, after?.position ?? BEGINNING);
    const settled = reached.every((stored) => !isAfter(newest, stored?.position ?? BEGINNING));
    if (before?.position !== after?.position && !settled) continue;
    if (isEmpty(before)) return 'only-new';
    return isEmpty(after) ? 'only-old' : 'changed';
  }
  return 'open';
}

function isEmpty(row: Row | undefined): boolean {
  return row === undefined || row.value.length === 0;
}

function sameBytes(a: Row | undefined, b: Row | undefined): boolean {
  if (a === undefined || b === undefined) return isEmpty(a) && isEmpty(b);
  return Buffer.from(a.value.buffer, a.value.byteOffset, a.value.byteLength).equals(b.value);
}
