import { describe, expect, it } from 'vitest';
import { CorruptCommit } from '../../src/eventstore/errors.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { bucketContract } from '../../src/testing/contracts/bucket-contract.ts';
import { forgettingContract } from '../../src/testing/contracts/forgetting-contract.ts';
import { logContract } from '../../src/testing/contracts/log-contract.ts';
import type { LogUnderTest } from '../../src/testing/contracts/log-support.ts';
import { personKeysContract } from '../../src/testing/contracts/person-keys-contract.ts';
import { counterRef } from '../../src/testing/contracts/toy.ts';
import {
  createMemoryBucket,
  createMemoryBucketStore,
  openMemoryBucket,
  openMemoryKeyBucket,
} from '../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../src/testing/memory-log.ts';

const nothingToStop = async (): Promise<void> => {};
const underTest = (store: MemoryStore, open: () => Log): LogUnderTest => ({
  log: open(),
  openSecond: async () => open(),
  putControl: async (control) => store.putControl(control),
  intrude: async (stream, bytes) => store.put(stream, store.version(stream), bytes) ?? 0,
  stop: nothingToStop,
});

logContract('the log in memory', async () => {
  const store = createMemoryStore();
  return underTest(store, () => openMemoryLog(store));
});

logContract('the log in memory, with batches of whatever is under way at once', async () => {
  const store = createMemoryStore();
  return underTest(store, () => openMemoryLog(store, { groupCommit: true }));
});

logContract('the log in memory, read as a majority confirms', async () => {
  const store = createMemoryStore();
  return underTest(store, () => openMemoryLog(store, { confirm: 'quorum' }));
});

const memoryBucket = async () => {
  const store = createMemoryBucketStore('rows');
  return {
    bucket: openMemoryBucket(store),
    openSecond: async () => openMemoryBucket(store),
    stop: nothingToStop,
  };
};

bucketContract('the bucket in memory', memoryBucket);
const memoryKeys = async () => {
  const store = createMemoryBucketStore('keys');
  return {
    bucket: openMemoryKeyBucket(store),
    ledger: createMemoryBucket('forgotten'),
    openSecond: async () => openMemoryKeyBucket(store),
    stop: nothingToStop,
  };
};
personKeysContract('the bucket in memory', memoryKeys);
forgettingContract('the bucket in memory', memoryKeys);

describe('corrupt bytes in the log in memory', () => {
  const broken = { garbage: Uint8Array.of(0xff, 0xff, 0xff), nothing: new Uint8Array(0) };
  for (const [what, bytes] of Object.entries(broken)) {
    it(`are read past as long as nobody looks inside, and then named by subject and position (${what})`, async () => {
      const store = createMemoryStore({ prefix: 'jl' });
      store.put(counterRef('broken'), 0, bytes, 'broken-1');
      const commit = await openMemoryLog(store).at(positionOf(1));
      expect(commit).toMatchObject({ position: 1, commitId: 'broken-1' });
      expect(() => commit?.decisions).toThrow(CorruptCommit);
      expect(() => commit?.decisions).toThrow(/position 1 on jl\.counter\.\d\.\d\.\d\.broken/);
    });
  }
});
