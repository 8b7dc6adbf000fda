import { expect, test } from 'vitest';
import { BEGINNING } from '../../../../src/eventstore/position.ts';
import { checkGroups } from '../../../../src/processes/engine/control.ts';
import { GROUPS } from '../../../../src/processes/engine/ownership.ts';
import { createEngineBuckets, toBytes } from '../../../../src/processes/engine/rows.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../../src/testing/memory-bucket.ts';

test('another number of groups than at the first start is refused at once, and told what to set', async () => {
  const buckets = openMemoryBuckets(createMemoryBucketStores(), (store) => openMemoryBucket(store));
  const where = { buckets, prefix: 't' };
  const consumers = [{ name: 'new' }, { name: 'known' }];
  await checkGroups(where, consumers, 16);
  const { shared } = await createEngineBuckets(buckets, 't');
  const value = toBytes({ count: 4 });
  await shared.write({ key: `${GROUPS}known`, value, expectedRevision: 0, position: BEGINNING });
  await checkGroups(where, consumers, 4);
  await expect(checkGroups(where, consumers, 16)).rejects.toThrow(
    'The consumer known is shared in 4 groups since its first start, and this instance is configured for 16. Set processes.groups to 4',
  );
});
