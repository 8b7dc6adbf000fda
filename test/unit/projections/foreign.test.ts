import { expect, it } from 'vitest';
import { numberOf, positionOf } from '../../../src/eventstore/position.ts';
import { startProjections } from '../../../src/projections/engine/index.ts';
import { readForeign } from '../../../src/projections/engine/passed/foreign.ts';
import { products } from '../../../src/projections/views/products.ts';
import { statistics } from '../../../src/projections/views/statistics.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createShopWorld, productListed, type ShopWorld, userCreated } from './shop-world.ts';

const GARBAGE = Uint8Array.of(0x78);

const intrude = ({ store }: ShopWorld, category: string, id: string): number => {
  const stream = { category, id };
  return store.put(stream, store.version(stream), GARBAGE) ?? 0;
};

it('views go on past foreign messages, of their own aggregates and of others, and count each once', async () => {
  const shop = createShopWorld();
  const { log, buckets, runtime, settings } = shop;
  const told: number[] = [];
  const start = () =>
    startProjections({
      ...{ log, buckets, runtime, settings, projections: [users, products, statistics] },
      observer: { foreign: ({ position }) => told.push(numberOf(position)) },
    });
  await shop.world.run(async () => {
    shop.append('user', 'ada', userCreated('ada'));
    const met = [intrude(shop, 'user', 'ada'), intrude(shop, 'user', 'bob'), intrude(shop, 'nonsense', 'x')];
    shop.append('user', 'bob', userCreated('bob'));
    const running = start();
    await running.waitUntil(positionOf(shop.append('product', 'tea', productListed('tea'))));
    met.push(intrude(shop, 'product', 'tea'));
    const last = shop.append('user', 'eve', userCreated('eve'));
    await running.waitUntil(positionOf(last));
    await runtime.sleep(100);
    expect(told).toEqual(met);
    for (const id of ['ada', 'bob', 'eve']) expect(await shop.json('s_users_v1', id)).toMatchObject({ id });
    expect(await shop.json('s_products_v1', 'tea')).toMatchObject({ sku: 'tea' });
    await running.stop();

    // What is met again is not told again, by another process neither.
    await buckets.drop('s_users_v1');
    const second = start();
    await second.waitUntil(positionOf(last));
    await runtime.sleep(100);
    await second.stop();
    expect(told).toEqual(met);
    const record = await readForeign(buckets, 's', log.incarnation);
    expect(record.count).toBe(4);
    expect(record.newest.map(({ position }) => position)).toEqual(met);
    expect(record.newest.at(-1)?.subject).toMatch(/^memory\.product\..*\.tea$/);
    expect(await readForeign(buckets, 's', 'another life')).toEqual({ count: 0, newest: [] });
  });
});

it('a row is right after commits that came behind a foreign message', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const running = shop.start([statistics, products]);
    shop.append('product', 'tea', productListed('tea'));
    await running.waitUntil(positionOf(1));
    intrude(shop, 'product', 'tea');
    intrude(shop, 'product', 'tea');
    const last = shop.append('product', 'tea', productListed('tea'));
    await running.waitUntil(positionOf(last));
    const row = await (await shop.buckets.open('s_products_v1'))?.get('tea', { leader: true });
    expect(row?.position).toBe(last);
    await running.stop();
  });
});
