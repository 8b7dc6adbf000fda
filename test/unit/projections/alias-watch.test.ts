import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { createAliases, watchAliases } from '../../../src/projections/engine/aliases.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { products } from '../../../src/projections/views/products.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createShopWorld, userCreated } from './shop-world.ts';

const EVERY_MS = 1_000;

/** A shop whose requests to the buckets are counted, by what is asked for. */
function countedShop() {
  const asked: string[] = [];
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    get: async (key, options) => {
      asked.push(`${bucket.name} ${key}`);
      return bucket.get(key, options);
    },
    stamp: async () => {
      asked.push(`${bucket.name} stamp`);
      return bucket.stamp();
    },
  });
  return { shop: createShopWorld({ around }), asked };
}

test('who looks together is answered by one request, and aliases are read again once one of them has changed', async () => {
  const { shop, asked } = countedShop();
  const { world, runtime, buckets } = shop;
  await world.run(async () => {
    const other = createAliases(buckets, 's');
    await other.point('users', { bucket: 's_users_v1', version: '1' }, 0);
    await other.point('orders', { bucket: 's_orders_v1', version: '1' }, 0);
    const aliases = watchAliases(createAliases(buckets, 's'), runtime, EVERY_MS);
    const look = async () => {
      await runtime.sleep(aliases.untilNextLook());
      const found = await Promise.all(['users', 'orders'].map((view) => aliases.read(view)));
      return found.map((each) => each?.alias.bucket);
    };
    expect(await look()).toEqual(['s_users_v1', 's_orders_v1']);
    asked.length = 0;
    expect(await look()).toEqual(['s_users_v1', 's_orders_v1']);
    expect(asked).toEqual(['s_views stamp']);
    const { revision = 0 } = (await other.read('users')) ?? {};
    await other.point('users', { bucket: 's_users_v2', version: '1' }, revision);
    expect(await look()).toEqual(['s_users_v2', 's_orders_v1']);
  });
});

test('what a process has pointed elsewhere itself it sees at once', async () => {
  const { shop } = countedShop();
  await shop.world.run(async () => {
    const aliases = watchAliases(createAliases(shop.buckets, 's'), shop.runtime, EVERY_MS);
    await aliases.point('users', { bucket: 's_users_v1', version: '1' }, 0);
    const { revision = 0 } = (await aliases.read('users')) ?? {};
    await aliases.point('users', { bucket: 's_users_v2', version: '1' }, revision);
    expect((await aliases.read('users'))?.alias.bucket).toBe('s_users_v2');
  });
});

test('an alias that was shown too old is believed for ten looks at the most', async () => {
  let old: Awaited<ReturnType<Bucket['get']>>;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    get: async (key, options) => old ?? bucket.get(key, options),
  });
  const shop = createShopWorld({ around });
  const { world, runtime, buckets } = shop;
  await world.run(async () => {
    const other = createAliases(buckets, 's');
    await other.point('users', { bucket: 's_users_v1', version: '1' }, 0);
    const first = await (await buckets.open('s_views'))?.get('users', { leader: true });
    await other.point('users', { bucket: 's_users_v2', version: '1' }, first?.revision ?? 0);
    const aliases = watchAliases(createAliases(buckets, 's'), runtime, EVERY_MS);
    const bucketNow = async () => (await aliases.read('users'))?.alias.bucket;
    old = first;
    expect(await bucketNow()).toBe('s_users_v1');
    old = undefined;
    await runtime.sleep(10 * EVERY_MS);
    expect(await bucketNow()).toBe('s_users_v2');
  });
});

test('views that nothing happens to ask once a second which buckets are live, and every other second for their checkpoints', async () => {
  const { shop, asked } = countedShop();
  await shop.world.run(async () => {
    const views = shop.start([users, products, orders]);
    await views.waitUntil(positionOf(shop.append('user', 'u1', userCreated('u1'))));
    await shop.runtime.sleep(40_000);
    asked.length = 0;
    await shop.runtime.sleep(8_000);
    const count = (what: RegExp) => asked.filter((each) => what.test(each)).length;
    expect(count(/^s_views stamp/)).toBe(8);
    expect(count(/=checkpoint$/)).toBe(3 * 4);
    // Each alias is read again every ten looks.
    expect(count(/^s_views (?!stamp)/)).toBeLessThanOrEqual(3);
    await views.stop();
  });
});
