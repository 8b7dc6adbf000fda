import type { BatchResult, Bucket, Row, RowWrite, WatchOptions, WriteResult } from '../eventstore/bucket.ts';
import { EventStoreError, LogUnavailable, OutcomeUnknown } from '../eventstore/errors.ts';
import type { KeyBucket } from '../eventstore/personal/key-bucket.ts';
import { BEGINNING } from '../eventstore/position.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Buckets, BucketTraits } from '../projections/engine/aliases.ts';
import { answer, arrive, lagging, loseMessage, type Sender } from './memory-log.ts';
import { createWake, type Wake, type World } from './world.ts';

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

/** The same of a bucket of keys. */
export interface MemoryKeyStore extends MemoryBucketStore {
  /** Overwrites the value of a key before the last one, if its revision is below; those before that stay as they are. */
  erase(key: string, below: number): void;
}

const TOMBSTONE = new Uint8Array(0);

/** An empty bucket in memory. */
export function createMemoryBucketStore(name: string): MemoryKeyStore {
  const writes: Row[] = [];
  const formerOf = new Map<string, number>();
  const byKey = new Map<string, Row>();
  const grown = createWake();
  return {
    name,
    writes,
    grown,
    last: (key) => byKey.get(key),
    put: (rows) => {
      if (rows.some((row) => (byKey.get(row.key)?.revision ?? 0) !== row.expectedRevision)) return undefined;
      for (const { key, value, position = BEGINNING } of rows) {
        const row = { key, value: value?.slice() ?? TOMBSTONE, revision: writes.length + 1, position };
        writes.push(row);
        formerOf.set(key, byKey.get(key)?.revision ?? 0);
        byKey.set(key, row);
      }
      grown.all();
      return writes.length;
    },
    erase: (key, below) => {
      const at = (formerOf.get(key) ?? 0) - 1;
      const former = writes[at];
      if (former !== undefined && former.revision < below) writes[at] = { ...former, value: TOMBSTONE };
    },
  };
}

const CHUNK = 100;

/** The last write of a key among the first `end` writes of the bucket. */
export function lastUntil(store: MemoryBucketStore, key: string, end: number): Row | undefined {
  const last = store.last(key);
  if (last === undefined || last.revision <= end) return last;
  for (let at = end - 1; at >= 0; at--) if (store.writes[at]?.key === key) return store.writes[at];
  return undefined;
}

/** Every row that lives now, in the order of their last write. */
export async function* liveRows(
  store: MemoryBucketStore,
  sender: Sender,
  { prefix = '', signal }: { prefix?: string; signal?: AbortSignal } = {},
): AsyncGenerator<Row, void> {
  await arrive(sender, `list ${store.name}`);
  const rows = store.writes.filter(
    (row) => row.value.length > 0 && row.key.startsWith(prefix) && store.last(row.key) === row,
  );
  for (const [index, row] of rows.entries()) {
    if (signal?.aborted) return;
    if (index > 0 && index % CHUNK === 0) await arrive(sender, `list ${store.name} further`);
    yield row;
  }
}

/** The last write of every key, tombstones too, and then each write; one that is overtaken on the way may be left out. */
export async function* changes(
  store: MemoryBucketStore,
  sender: Sender,
  { signal, after = 0, caughtUp, settled }: WatchOptions,
): AsyncGenerator<Row, void> {
  await arrive(sender, `watch ${store.name}`);
  const start = store.writes.length;
  let told = false;
  let seen = after;
  while (!signal.aborted) {
    if (!told && seen >= start) {
      told = true;
      caughtUp?.();
    }
    if (seen >= store.writes.length) {
      settled?.();
      await store.grown.next(signal);
      if (!signal.aborted) await arrive(sender, `change of ${store.name}`);
      continue;
    }
    const row = store.writes[seen++];
    if (row !== undefined && store.last(row.key) === row) yield row;
  }
}

/** How a bucket in memory differs from the plain one. */
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
  const sender: Sender = { world, actor, runtime: world?.runtime(actor) ?? systemRuntime };

  const put = async (rows: readonly RowWrite[]): Promise<number | undefined> => {
    for (const row of rows) checkKey(store.name, row.key);
    await arrive(sender, `write ${rows.length === 1 ? rows[0]?.key : rows.length} to ${store.name}`);
    const lost = world && loseMessage(world, timeoutMs, () => store.put(rows));
    if (lost !== undefined) {
      await sender.runtime.sleep(timeoutMs);
      throw new OutcomeUnknown(`bucket ${store.name}`, timeoutMs, new Error(lost));
    }
    const revision = store.put(rows);
    await answer(sender, `${revision === undefined ? 'refused' : 'written'} in ${store.name}`);
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
      await arrive(sender, `get ${key} of ${store.name}`);
      const end = store.writes.length;
      const row = lastUntil(store, key, leader ? end : lagging(world, end));
      await answer(sender, `got ${key} of ${store.name}`);
      return row;
    },
    getAll: async (keys) => {
      for (const key of keys) checkKey(store.name, key);
      await arrive(sender, `get ${keys.length} of ${store.name}`);
      const end = lagging(world, store.writes.length);
      await answer(sender, `got ${keys.length} of ${store.name}`);
      return keys.flatMap((key) => lastUntil(store, key, end) ?? []);
    },
    write,
    writeAll: batches ? writeAll : undefined,
    rows: (options) => liveRows(store, sender, options),
    watch: (options) => changes(store, sender, options),
    stamp: async () => {
      await arrive(sender, `look at ${store.name}`);
      const stamp = String(store.writes.length);
      await answer(sender, `looked at ${store.name}`);
      return stamp;
    },
    serverId: () => 'memory',
  };
}

/** Another process's handle on a shared bucket of keys in memory, which keeps the last two values of each. */
export function openMemoryKeyBucket(store: MemoryKeyStore, options: MemoryBucketOptions = {}): KeyBucket {
  const { world, actor = 'main', timeoutMs = 500 } = options;
  const sender: Sender = { world, actor, runtime: world?.runtime(actor) ?? systemRuntime };
  return {
    ...openMemoryBucket(store, options),
    eraseBefore: async (key, revision) => {
      await arrive(sender, `erase ${key} of ${store.name}`);
      const lost = world && loseMessage(world, timeoutMs, () => store.erase(key, revision));
      if (lost !== undefined) {
        await sender.runtime.sleep(timeoutMs);
        throw new LogUnavailable(`erasing ${key}: ${lost}`);
      }
      store.erase(key, revision);
      await answer(sender, `erased ${key} of ${store.name}`);
    },
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

/** What a server would hold of all buckets, shared by the processes that use them. */
export interface MemoryBucketStores {
  readonly stores: Map<string, { readonly store: MemoryBucketStore; readonly traits: BucketTraits }>;
  /** Makes the store of a new bucket; tests give their own. */
  readonly make: (name: string) => MemoryBucketStore;
}

/** No buckets yet. */
export function createMemoryBucketStores(
  make: MemoryBucketStores['make'] = createMemoryBucketStore,
): MemoryBucketStores {
  return { stores: new Map(), make };
}

/** One process's access to the buckets; `handle` opens a store as that process. */
export function openMemoryBuckets(
  { stores, make }: MemoryBucketStores,
  handle: (store: MemoryBucketStore, traits: BucketTraits) => Bucket,
): Buckets {
  return {
    open: async (name) => {
      const found = stores.get(name);
      return found === undefined ? undefined : handle(found.store, found.traits);
    },
    create: async (name, traits) => {
      const found = stores.get(name) ?? { store: make(name), traits };
      stores.set(name, found);
      return handle(found.store, found.traits);
    },
    drop: async (name) => {
      stores.delete(name);
    },
    list: async (prefix) => [...stores.keys()].filter((name) => name.startsWith(prefix)).sort(),
  };
}
