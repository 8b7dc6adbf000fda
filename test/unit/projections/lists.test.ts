import { beforeAll, expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { type Buckets, createAliases } from '../../../src/projections/engine/aliases.ts';
import { type ListRow, sealFullPage } from '../../../src/projections/engine/lists/list.ts';
import type { ViewIndex } from '../../../src/projections/engine/lists/view-index.ts';
import type { Page, PageRequest } from '../../../src/projections/engine/reading.ts';
import { createViewReader } from '../../../src/projections/engine/view-reader.ts';
import { type OrderRow, orderIndex, orders } from '../../../src/projections/views/orders.ts';
import {
  createMemoryBucketStore,
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryIndexes } from '../../../src/testing/memory-indexes.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { createReadModels, type ReadModels } from '../../support/read-models.ts';

const ROWS = 100_000;
const LIMIT = 200;
const textOf = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString('utf8'));

let reads = 0;
let models: ReadModels;
let buckets: Buckets;

const counting = (bucket: Bucket): Bucket => ({
  ...bucket,
  get: (key, options) => {
    reads++;
    return bucket.get(key, options);
  },
});

const placedAt = (n: number) => new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString();
const statusOf = (n: number) => (n % 1_000 === 0 ? 'placed' : n % 3 === 0 ? 'rejected' : 'confirmed');
const orderRow = (n: number, status = statusOf(n)) => ({
  id: `o${n}`,
  userId: 'u1',
  status,
  placedAt: placedAt(n),
  lines: [],
  total: { amountMinor: n, currency: 'EUR' },
});
const nameOf = (n: number) => (n % 100 === 0 ? `Ärmel ${n}` : `Product ${n}`);

function* userList(): Iterable<readonly [string, object]> {
  const entries = Array.from({ length: ROWS }, (_, n) => ({ orderId: `o${n}` }));
  let rest: ListRow<unknown> = { pages: 0, size: 50, entries };
  for (let cut = sealFullPage('u1', rest); cut; cut = sealFullPage('u1', rest)) {
    yield [cut.key, { ...cut.row }];
    rest = cut.rest;
  }
  yield ['u1', rest];
}

beforeAll(async () => {
  const stores = createMemoryBucketStores((name) => createMemoryBucketStore(name));
  buckets = openMemoryBuckets(stores, (store) => counting(openMemoryBucket(store)));
  const fill = async (view: string, rows: Iterable<readonly [string, object]>) => {
    const bucket = `t_${view}_v1`;
    await buckets.create(bucket, { durable: true });
    const store = stores.stores.get(bucket)?.store;
    for (const [key, row] of rows) {
      store?.put([
        { key, value: Buffer.from(JSON.stringify(row)), expectedRevision: 0, position: positionOf(1) },
      ]);
    }
    await createAliases(buckets, 't').point(view, { bucket, version: 'x' }, 0);
  };
  const all = Array.from({ length: ROWS }, (_, n) => n);
  await fill(
    'orders',
    all.map((n) => [`o${n}`, orderRow(n)] as const),
  );
  await fill(
    'products',
    all.map(
      (n) => [`SKU-${n}`, { sku: `SKU-${n}`, name: nameOf(n), status: 'listed', available: n }] as const,
    ),
  );
  await fill('orders_by_user', userList());
  const settings = { prefix: 't', resolveMs: 60_000 };
  models = createReadModels({ log: createMemoryLog(), buckets, runtime: systemRuntime, settings });
  return () => models.stop();
}, 60_000);

/** Walks up to `most` pages, and sees that none of them reads more than its limit and 50 rows. */
async function walk(ask: (request: PageRequest) => Promise<Page>, most: number): Promise<unknown[]> {
  const rows: unknown[] = [];
  let cursor: string | undefined;
  for (let n = 0; n < most; n++) {
    const before = reads;
    const page = await ask({ limit: LIMIT, cursor });
    expect(reads - before).toBeLessThanOrEqual(LIMIT + 50);
    rows.push(...page.items.map(textOf));
    cursor = page.next;
    if (cursor === undefined) break;
  }
  return rows;
}

test('a user’s orders: a page of a list of 100,000 reads no more than its limit and 50 rows', async () => {
  const rows = await walk((request) => models.ordersOfUser('u1', request), 10);
  expect(rows.map((row) => (row as { id: string }).id)).toEqual(
    Array.from({ length: 2_000 }, (_, i) => `o${ROWS - 1 - i}`),
  );
}, 30_000);

test('orders of a status come newest first, the few of a rare one too, and read no more than that', async () => {
  const placed = await walk((request) => models.orders({ status: 'placed', sort: 'placedAt' }, request), 10);
  expect(placed).toEqual(Array.from({ length: 100 }, (_, i) => orderRow(ROWS - 1_000 - i * 1_000)));
  const confirmed = await walk(
    (request) => models.orders({ status: 'confirmed', sort: 'placedAt' }, request),
    5,
  );
  const expected = Array.from({ length: ROWS }, (_, i) => ROWS - 1 - i)
    .filter((n) => statusOf(n) === 'confirmed')
    .slice(0, 1_000);
  expect(confirmed).toEqual(expected.map((n) => orderRow(n)));
}, 30_000);

test('products by the beginning of their name, whatever the case, read no more than that', async () => {
  const rows = await walk((request) => models.products({ namePrefix: 'äRMEL' }, request), 10);
  const names = rows.map((row) => (row as { name: string }).name);
  expect(names).toHaveLength(1_000);
  expect(names).toEqual([...names].sort());
  const bySku = await walk((request) => models.products({}, request), 2);
  expect(bySku).toHaveLength(2 * LIMIT);
}, 30_000);

test('orders that change their status between two pages neither double nor hide the others', async () => {
  const orders = await buckets.open('t_orders_v1');
  const rejected = { status: 'rejected', sort: 'placedAt' } as const;
  const first = await models.orders(rejected, { limit: 100 });
  const ids = first.items.map((item) => textOf(item).id as string);
  const change = async (n: number, status: string) => {
    const stored = await orders?.get(`o${n}`, { leader: true });
    const value = Buffer.from(JSON.stringify(orderRow(n, status)));
    await orders?.write({
      key: `o${n}`,
      value,
      expectedRevision: stored?.revision ?? 0,
      position: positionOf(2),
    });
  };
  const newest = Number(ids[0]?.slice(1));
  const last = Number(ids.at(-1)?.slice(1));
  await change(newest, 'confirmed');
  await change(last, 'confirmed');
  await change(last - 1, 'rejected');
  await change(last - 3, 'confirmed');
  const shown = async () =>
    (await models.orders(rejected, { limit: 3, cursor: first.next })).items.map((item) => textOf(item).id);
  // The watch comes a moment after the write.
  await expect.poll(shown).toEqual([`o${last - 1}`, `o${last - 6}`, `o${last - 9}`]);
}, 30_000);

test('a second index of a view needs a name of its own, or each would delete the files of the other', async () => {
  const stores = createMemoryBucketStores((name) => createMemoryBucketStore(name));
  const emptyBuckets = openMemoryBuckets(stores, (store) => openMemoryBucket(store));
  const views = createViewReader({
    ...{ log: createMemoryLog(), buckets: emptyBuckets, runtime: systemRuntime, views: [orders] },
    ...{ settings: { prefix: 't' }, indexStore: createMemoryIndexes(), indexes: [orderIndex] },
  });
  const [list = { equal: [], sort: '' }] = orderIndex.lists;
  const ask = async (index: ViewIndex<OrderRow>) => views.page(index, { list, equal: {} }, { limit: 1 });
  expect(await ask({ ...orderIndex, name: 'others' })).toMatchObject({ items: [] });
  await expect(ask({ ...orderIndex })).rejects.toThrow('two indexes are called orders');
  await views.stop();
});
