import type { BatchResult, Bucket, RowWrite, WriteResult } from '../bucket.ts';
import { EventStoreError, OutcomeUnknown } from '../errors.ts';
import { systemRuntime } from '../runtime.ts';
import { changes, lastUntil, liveRows } from './memory-bucket-read.ts';
import { createMemoryBucketStore, type MemoryBucketStore } from './memory-bucket-store.ts';
import { answer, arrive, lagging, loseMessage, type Place } from './memory-transport.ts';
import type { World } from './scheduler.ts';

export interface MemoryBucketOptions {
  readonly world?: World | undefined;
  readonly actor?: string;
  /** How long a write waits for its answer, in milliseconds. */
  readonly timeoutMs?: number;
  /** False for a bucket whose storage has no batches. */
  readonly batches?: boolean;
}

const MAX_BATCH = 1000;
const KEY = /^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$/;
/** A bucket in memory with one handle. */
export function createMemoryBucket(name: string, options: MemoryBucketOptions = {}): Bucket {
  return openMemoryBucket(createMemoryBucketStore(name), options);
}

/** Another process's handle on a shared bucket in memory. */
export function openMemoryBucket(store: MemoryBucketStore, options: MemoryBucketOptions = {}): Bucket {
  const { world, actor = 'main', timeoutMs = 500, batches = true } = options;
  const place: Place = { world, actor, runtime: world?.runtime(actor) ?? systemRuntime };

  const put = async (rows: readonly RowWrite[]): Promise<number | undefined> => {
    for (const row of rows) checkKey(store.name, row.key);
    await arrive(place, `write ${rows.length === 1 ? rows[0]?.key : rows.length} to ${store.name}`);
    const lost = world && loseMessage(world, timeoutMs, () => store.put(rows));
    if (lost !== undefined) {
      await place.runtime.sleep(timeoutMs);
      throw new OutcomeUnknown(`bucket ${store.name}`, timeoutMs, new Error(lost));
    }
    const revision = store.put(rows);
    await answer(place, `${revision === undefined ? 'refused' : 'written'} in ${store.name}`);
    return revision;
  };

  const write = async (row: RowWrite): Promise<WriteResult> => {
    const revision = await put([row]);
    return revision === undefined ? { written: false } : { written: true, revision };
  };

  const writeAll = async (rows: readonly RowWrite[]): Promise<BatchResult> => {
    checkBatch(store.name, rows);
    const lastRevision = await put(rows);
    return lastRevision === undefined ? { written: false } : { written: true, lastRevision };
  };

  return {
    name: store.name,
    get: async (key, { leader = false } = {}) => {
      checkKey(store.name, key);
      await arrive(place, `get ${key} of ${store.name}`);
      const end = store.writes.length;
      const row = lastUntil(store, key, leader ? end : lagging(world, end));
      await answer(place, `got ${key} of ${store.name}`);
      return row;
    },
    write,
    writeAll: batches ? writeAll : undefined,
    rows: (options) => liveRows(store, place, options),
    watch: (options) => changes(store, place, options),
  };
}

/** The keys that a NATS bucket takes. */
function checkKey(name: string, key: string): void {
  if (!KEY.test(key) || key.length > 256) {
    throw new EventStoreError(
      'bucket/invalid-key',
      `The key ${JSON.stringify(key)} is not allowed in ${name}.`,
    );
  }
}

function checkBatch(name: string, rows: readonly RowWrite[]): void {
  if (rows.length === 0 || rows.length > MAX_BATCH) {
    throw new RangeError(`A batch for ${name} holds 1 to ${MAX_BATCH} rows, not ${rows.length}.`);
  }
  if (new Set(rows.map((row) => row.key)).size < rows.length) {
    throw new EventStoreError('bucket/duplicate-key', `A batch for ${name} writes a key twice.`);
  }
}
