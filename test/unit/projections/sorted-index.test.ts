import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { createSortedIndex } from '../../../src/projections/engine/lists/sorted-index.ts';
import { createMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import { until } from '../../../src/testing/until.ts';

/** More than an index of few rows is told of before it ends. */
const MANY = 1_500;

async function change(bucket: Bucket, key: string, times: number): Promise<void> {
  let expectedRevision = (await bucket.get(key, { leader: true }))?.revision ?? 0;
  for (let n = 0; n < times; n++) {
    const result = await bucket.write({ key, value: Buffer.from(`"${n}"`), expectedRevision });
    if (!result.written) throw new Error('somebody else writes');
    expectedRevision = result.revision;
  }
}

/** An index over one row, which is through with what there was. */
async function indexOf(bucket: Bucket) {
  await change(bucket, 'first', 1);
  const index = createSortedIndex({ bucket, groups: 1 }, ({ key }) => [`all\0${key}\0${key}`]);
  await index.places();
  return index;
}

test('an index that nobody reads ends once it was told of more changes than it has rows', async () => {
  const bucket = createMemoryBucket('rows');
  const index = await indexOf(bucket);
  await change(bucket, 'a', 500);
  expect(index.alive()).toBe(true);
  await change(bucket, 'a', MANY);
  await until('the index has ended', () => !index.alive());
});

test('an index that is read stays, and one that was just read begins to count anew', async () => {
  const bucket = createMemoryBucket('rows');
  const index = await indexOf(bucket);
  const keys = await index.use(async () => {
    await change(bucket, 'a', MANY);
    await until('the index knows the row', async () => (await index.places()).size === 2);
    return (await index.places()).after('all', undefined, 10);
  });
  expect(keys).toEqual(['all\0a\0a', 'all\0first\0first']);
  await change(bucket, 'b', 500);
  await until('the index knows the other row', async () => (await index.places()).size === 3);
  expect(index.alive()).toBe(true);
  index.stop();
});
