import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { ordersByUser } from '../../../src/projections/views/orders-by-user.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createShopWorld, orderPlaced, type ShopWorld, userCreated } from './shop-world.ts';

/** Writes as another client of the server does: behind the view's back, and without a position. */
async function overwrite(shop: ShopWorld, name: string, key: string, value: Uint8Array | undefined) {
  const bucket = (await shop.buckets.open(name)) as Bucket;
  const stored = await bucket.get(key, { leader: true });
  const write = { key, value, expectedRevision: stored?.revision ?? 0 };
  expect((await bucket.write(write)).written).toBe(true);
}

test('a row that was removed, or put back to an older value, is folded again from the log by the sweep, and others are left alone', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    shop.append('user', 'u1', userCreated('u1'));
    shop.append('user', 'u2', userCreated('u2'));
    const last = shop.append('user', 'u3', userCreated('u3'));
    await views.waitUntil(positionOf(last));
    const before = await Promise.all(['u1', 'u2', 'u3'].map((key) => shop.json('s_users_v1', key)));
    const untouched = await (await shop.buckets.open('s_users_v1'))?.get('u3', { leader: true });
    await overwrite(shop, 's_users_v1', 'u1', undefined);
    await overwrite(shop, 's_users_v1', 'u2', Buffer.from('{"name":"older"}'));
    await shop.runtime.sleep(25_000);
    const after = await Promise.all(['u1', 'u2', 'u3'].map((key) => shop.json('s_users_v1', key)));
    expect(after).toEqual(before);
    expect(await (await shop.buckets.open('s_users_v1'))?.get('u3', { leader: true })).toEqual(untouched);
    // The view goes on with a row that another hand has written.
    const next = shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(next));
    const row = await (await shop.buckets.open('s_users_v1'))?.get('u1', { leader: true });
    expect(row?.position).toBe(next);
    await views.stop();
  });
});

test('rows are looked for again only once a bucket has changed since all of them were found', async () => {
  let looks = 0;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    getAll: async (keys) => {
      looks++;
      return bucket.getAll(keys);
    },
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start([users]);
    await views.waitUntil(positionOf(shop.append('user', 'u1', userCreated('u1'))));
    const before = await shop.json('s_users_v1', 'u1');
    await shop.runtime.sleep(30_000);
    const found = looks;
    await shop.runtime.sleep(60_000);
    expect([found > 0, looks]).toEqual([true, found]);
    await overwrite(shop, 's_users_v1', 'u1', undefined);
    await shop.runtime.sleep(11_000);
    expect(await shop.json('s_users_v1', 'u1')).toEqual(before);
    await views.stop();
  });
});

test('a row that is removed while a pass is under way is found by the next one', async () => {
  let removeNow = async (): Promise<void> => undefined;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    getAll: async (keys) => {
      const rows = await bucket.getAll(keys);
      const remove = removeNow;
      removeNow = async () => undefined;
      await remove();
      return rows;
    },
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start([users]);
    await views.waitUntil(positionOf(shop.append('user', 'u1', userCreated('u1'))));
    const before = await shop.json('s_users_v1', 'u1');
    removeNow = () => overwrite(shop, 's_users_v1', 'u1', undefined);
    await shop.runtime.sleep(40_000);
    expect(await shop.json('s_users_v1', 'u1')).toEqual(before);
    await views.stop();
  });
});

test('a look that fails, for whatever reason, does not end the sweep', async () => {
  let failures = 3;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    getAll: async (keys) => {
      if (failures-- > 0) throw new Error('of a kind that nobody expects');
      return bucket.getAll(keys);
    },
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start([users]);
    await views.waitUntil(positionOf(shop.append('user', 'u1', userCreated('u1'))));
    const before = await shop.json('s_users_v1', 'u1');
    await overwrite(shop, 's_users_v1', 'u1', undefined);
    await shop.runtime.sleep(40_000);
    expect([failures < 0, await shop.json('s_users_v1', 'u1')]).toEqual([true, before]);
    await views.stop();
  });
});

test('a view whose rows cross aggregates fills a new bucket when one of them was removed', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([ordersByUser]);
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    const last = shop.append('order', 'o2', orderPlaced('o2', 'u1'));
    await views.waitUntil(positionOf(last));
    const before = await shop.json('s_orders_by_user_v1', 'u1');
    await overwrite(shop, 's_orders_by_user_v1', 'u1', undefined);
    await shop.runtime.sleep(40_000);
    expect(await shop.json('s_orders_by_user_v2', 'u1')).toEqual(before);
    expect(views.status()).toMatchObject([{ running: true, lag: 0 }]);
    await views.stop();
  });
});
