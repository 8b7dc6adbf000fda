import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { OrderCancelledSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { UserRegistrationAbandonedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { InvalidCursor, type Page, ViewBehind } from '../../../src/projections/engine/reading.ts';
import { ordersByUser } from '../../../src/projections/views/orders-by-user.ts';
import { views as allProjections } from '../../../src/service/shop.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld, orderPlaced, productListed, userCreated } from './shop-world.ts';

const textOf = (bytes: Uint8Array | undefined) => JSON.parse(Buffer.from(bytes ?? []).toString('utf8'));

test('a query for a position that was just written waits for it, and shows it', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    const reads = createReadModels({ ...shop, settings: shop.settings });
    for (let i = 0; i < 20; i++) {
      const minPosition = shop.append('user', `u${i}`, userCreated(`u${i}`));
      const row = await reads.user(`u${i}`, { minPosition: positionOf(minPosition) });
      expect(textOf(row?.json)).toMatchObject({ id: `u${i}`, version: minPosition });
    }
    const minPosition = shop.append(
      'user',
      'gone',
      create(UserRegistrationAbandonedSchema, { userId: 'gone' }),
    );
    expect(await reads.user('gone', { minPosition: positionOf(minPosition) })).toBeUndefined();
    expect(await reads.user('never', { minPosition: positionOf(minPosition) })).toBeUndefined();
    await views.stop();
    reads.stop();
  });
});

test('a position is shown by the row that its checkpoint covers, also when a leader that is none any more is asked for the row', async () => {
  let lagging = 2;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    get: (key, options) => (key === 'u1' ? Promise.resolve(undefined) : bucket.get(key, options)),
    getAll: async (keys) => {
      const rows = await bucket.getAll(keys);
      return keys.includes('u1') && lagging-- > 0 ? [] : rows;
    },
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    const reads = createReadModels({ ...shop, settings: shop.settings });
    const minPosition = shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(minPosition));
    const row = await reads.user('u1', { minPosition: positionOf(minPosition) });
    expect(textOf(row?.json)).toMatchObject({ id: 'u1', version: minPosition });
    expect(lagging).toBeLessThan(0);
    await views.stop();
    reads.stop();
  });
});

test('a view that does not get there in time says where it is', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const reads = createReadModels({ ...shop, settings: shop.settings });
    shop.append('user', 'u1', userCreated('u1'));
    await expect(reads.user('u1', { minPosition: positionOf(1), waitMs: 50 })).rejects.toThrow(ViewBehind);
    const views = shop.start(allProjections);
    await views.waitUntil(positionOf(1));
    await shop.runtime.sleep(2_000);
    const behind = reads.user('u1', { minPosition: positionOf(7), waitMs: 50 });
    await expect(behind).rejects.toMatchObject({ view: 'users', wanted: 7, reached: 1 });
    await views.stop();
    reads.stop();
  });
});

test('products come by SKU in pages that give each once and read no more rows than they show', async () => {
  let reads = 0;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    get: (key, options) => {
      reads++;
      return bucket.get(key, options);
    },
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    const skus = Array.from({ length: 95 }, (_, i) => `SKU-${(i * 37) % 95}`);
    for (const sku of skus) shop.append('product', sku, productListed(sku));
    await views.waitUntil(positionOf(95));
    await views.stop();
    const models = createReadModels({ ...shop, settings: shop.settings });
    await models.products({}, { limit: 1, minPosition: positionOf(95) });
    const seen: string[] = [];
    let page: Page | undefined;
    do {
      const start = reads;
      page = await models.products({}, { limit: 10, cursor: page?.next });
      expect(reads - start).toBeLessThanOrEqual(12);
      seen.push(...page.items.map((item) => textOf(item).sku));
    } while (page.next !== undefined);
    expect(seen).toEqual([...skus].sort());
    await expect(models.products({}, { limit: 10, cursor: 'nonsense' })).rejects.toThrow(InvalidCursor);
    models.stop();
  });
});

test('a user’s orders come newest first, whole, and stable while more are placed', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    const reads = createReadModels({ ...shop, settings: shop.settings });
    for (let i = 0; i < 450; i++) shop.append('order', `o${i}`, orderPlaced(`o${i}`, `u${i % 2}`));
    const minPosition = shop.append('order', 'o440', create(OrderCancelledSchema, { reason: 'no' }));
    const first = await reads.ordersOfUser('u0', { limit: 100, minPosition: positionOf(minPosition) });
    expect(textOf(first.items[4])).toMatchObject({ id: 'o440', status: 'cancelled' });
    shop.append('order', 'new', orderPlaced('new', 'u0'));
    await views.waitUntil(positionOf(minPosition + 1));
    const second = await reads.ordersOfUser('u0', { limit: 200, cursor: first.next });
    const ids = [...first.items, ...second.items].map((item) => textOf(item).id);
    expect(ids).toEqual(Array.from({ length: 225 }, (_, i) => `o${448 - 2 * i}`));
    expect(second.next).toBeUndefined();
    await expect(reads.ordersOfUser('u1', { limit: 1, cursor: first.next })).rejects.toThrow(InvalidCursor);
    await views.stop();
    reads.stop();
  });
});

test('an order that only the list has seen is shown from the log', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([ordersByUser]);
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    await views.waitUntil(positionOf(1));
    const reads = createReadModels({ ...shop, settings: shop.settings });
    const { items } = await reads.ordersOfUser('u1', { limit: 10 });
    expect(items.map(textOf)).toMatchObject([{ id: 'o1', status: 'placed', version: 1 }]);
    await views.stop();
    reads.stop();
  });
});

test('no id reaches the engine’s own rows or the pages of a list', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    for (let i = 0; i < 201; i++) shop.append('order', `o${i}`, orderPlaced(`o${i}`, 'u1'));
    await views.waitUntil(positionOf(201));
    const reads = createReadModels({ ...shop, settings: shop.settings });
    expect(await reads.user('=checkpoint')).toBeUndefined();
    expect(await reads.ordersOfUser('u1.0', { limit: 10 })).toEqual({ items: [] });
    await views.stop();
    reads.stop();
  });
});

test('status tells each view’s position and lag, and whether anybody runs it', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(1));
    await views.stop();
    const reads = createReadModels({ ...shop, settings: shop.settings });
    expect(await reads.status()).toMatchObject(
      allProjections.map(({ name }) => ({ view: name, position: 1, lag: 0 })),
    );
    shop.append('user', 'u2', userCreated('u2'));
    await shop.runtime.sleep(11_000);
    expect((await reads.status())[0]).toMatchObject({ view: 'users', position: 1, lag: 1, running: false });
    reads.stop();
  });
});
