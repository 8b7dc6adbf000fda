import { expect, it } from 'vitest';
import { type Bucket, positionOf } from '../../../src/eventstore/index.ts';
import { bucketNames, parseRow, toBytes } from '../../../src/processes/engine/index.ts';
import { translateEngine } from '../../../src/service/translate-cursors.ts';
import {
  createMemoryBucketStore,
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';

/** Hands out what was written meanwhile, too, as a bucket of NATS does now and then. */
const withRepeats = (bucket: Bucket): Bucket => ({
  ...bucket,
  rows: async function* (options) {
    for await (const row of bucket.rows(options)) yield row;
    for await (const row of bucket.rows(options)) yield row;
  },
});

it('cursors that come again after they were translated do not stop a restore', async () => {
  const stores = createMemoryBucketStores((name) => createMemoryBucketStore(name));
  const buckets = openMemoryBuckets(stores, (store) => withRepeats(openMemoryBucket(store)));
  const { cursors: name } = bucketNames('t');
  const cursors = await buckets.create(name, { durable: true });
  for (const key of ['orders.4.0', 'orders.4.1']) {
    const value = toBytes({ incarnation: 'old', high: positionOf(3), open: [] });
    await cursors.write({ key, value, expectedRevision: 0, position: positionOf(3) });
  }
  await translateEngine(buckets, 't', { from: 'old', to: 'new', last: positionOf(3) });
  const incarnationOf = async (key: string) =>
    parseRow<{ incarnation: string }>(await cursors.get(key))?.incarnation;
  expect([await incarnationOf('orders.4.0'), await incarnationOf('orders.4.1')]).toEqual(['new', 'new']);
  const another = { from: 'older', to: 'newest', last: positionOf(3) };
  await expect(translateEngine(buckets, 't', another)).rejects.toThrow('incarnation new, not older');
});
