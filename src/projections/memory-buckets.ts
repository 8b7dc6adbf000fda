import type { Bucket } from '../eventstore/bucket.ts';
import { createMemoryBucketStore, type MemoryBucketStore } from '../eventstore/memory/memory-bucket-store.ts';
import type { Buckets, BucketTraits } from './buckets.ts';

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

/** One process's access to the buckets; `handle` opens a store in that process's place. */
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
