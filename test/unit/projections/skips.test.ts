import { expect, it } from 'vitest';
import { readMarks, skipPosition, undoSkip } from '../../../src/eventstore/index.ts';
import { isAfter, positionOf } from '../../../src/eventstore/position.ts';
import { refoldOne } from '../../../src/projections/engine/index.ts';
import { products } from '../../../src/projections/views/products.ts';
import { statistics } from '../../../src/projections/views/statistics.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createShopWorld, productListed, type ShopWorld, userCreated } from './shop-world.ts';

const LOOKED_MS = 3_000;
const SWEPT_MS = 40_000;

/** Stores a commit of ours whose bytes are damaged. */
const damage = ({ store }: ShopWorld, category: string, id: string): number => {
  const stream = { category, id };
  return store.put(stream, store.version(stream), Uint8Array.of(0x78), 'ours') ?? 0;
};

const skip = ({ log, runtime }: ShopWorld, position: number, action = 'a1') =>
  skipPosition(log, runtime, { position: positionOf(position), reason: 'a disk lied', action });

const liveOf = async ({ buckets }: ShopWorld, view: string) => {
  const row = await (await buckets.open('s_views'))?.get(view, { leader: true });
  return JSON.parse(Buffer.from(row?.value ?? '').toString('utf8')) as { bucket: string; version: string };
};

it('a damaged commit stops a view, whose error names the position and the cure; a mark heals it, without a restart', async () => {
  const shop = createShopWorld();
  const errors: string[] = [];
  await shop.world.run(async () => {
    const running = shop.start([users, products, statistics], (view, error) =>
      errors.push(`${view}: ${error}`),
    );
    shop.append('product', 'tea', productListed('tea'));
    const damaged = damage(shop, 'product', 'cup');
    shop.append('product', 'pot', productListed('pot'));
    const last = shop.append('user', 'ada', userCreated('ada'));
    await shop.runtime.sleep(LOOKED_MS);
    const stopped = running.status().filter(({ position }) => isAfter(positionOf(last), position));
    expect(stopped.length).toBeGreaterThan(0);
    for (const { lastError } of stopped) {
      expect(lastError).toContain(`at position ${damaged} and stands still there`);
      expect(lastError).toContain(`Skip ${damaged}, please.`);
    }
    const before = await liveOf(shop, 'users');

    expect(await skip(shop, damaged)).toBe(true);
    await shop.runtime.sleep(2 * LOOKED_MS);
    await running.waitUntil(positionOf(shop.store.head()));
    expect(running.status().map(({ lastError }) => lastError)).toEqual([undefined, undefined, undefined]);
    const { bucket, version } = await liveOf(shop, 'products');
    expect(version).toMatch(/-s[0-9a-f]{12}$/);
    for (const sku of ['tea', 'pot']) expect(await shop.json(bucket, sku)).toMatchObject({ sku });
    expect(await shop.json(bucket, 'cup')).toBeUndefined();
    // What does not read that category is left as it is.
    expect(await liveOf(shop, 'users')).toEqual(before);
    await running.stop();
  });
});

it('a mark and its undoing rebuild beside: a row is without the commit, and then with it again', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const running = shop.start([products]);
    shop.append('product', 'tea', productListed('tea'));
    const second = shop.append('product', 'pot', productListed('pot'));
    await running.waitUntil(positionOf(second));
    const plain = await liveOf(shop, 'products');
    const names = async () => {
      const { bucket } = await liveOf(shop, 'products');
      return Promise.all(
        ['tea', 'pot', 'cup'].map(async (sku) => (await shop.json(bucket, sku)) !== undefined),
      );
    };
    await skip(shop, second);
    // The sweep, which looks for rows that were lost, has passed by then, too.
    await shop.runtime.sleep(SWEPT_MS);
    expect(await names()).toEqual([true, false, false]);
    await undoSkip(shop.log, shop.runtime, {
      position: positionOf(second),
      reason: 'it was sound',
      action: 'a2',
    });
    const third = shop.append('product', 'cup', productListed('cup'));
    await shop.runtime.sleep(LOOKED_MS);
    await running.waitUntil(positionOf(third));
    expect(await names()).toEqual([true, true, true]);
    expect((await liveOf(shop, 'products')).version).toBe(plain.version);
    await running.stop();
  });
});

it('who starts later reads the marks first; a rebuild and the refold of one row pass over them, too', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const first = shop.append('product', 'tea', productListed('tea'));
    const damaged = damage(shop, 'product', 'tea');
    await skip(shop, damaged);
    const running = shop.start([products, statistics]);
    await running.waitUntil(positionOf(shop.store.head()));
    const { bucket } = await liveOf(shop, 'products');
    expect(bucket).toBe('s_products_v1');
    const { log, buckets, runtime, settings } = shop;
    await refoldOne({ log, buckets, runtime, settings, projection: products, id: 'tea' });
    const row = await (await buckets.open(bucket))?.get('tea', { leader: true });
    expect([row?.position, await shop.json(bucket, 'tea')]).toEqual([
      first,
      expect.objectContaining({ sku: 'tea' }),
    ]);
    await running.stop();
  });
});

it('what is undone while the commit is damaged cannot be rebuilt: the view goes on as it is, and says why', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const running = shop.start([products]);
    shop.append('product', 'tea', productListed('tea'));
    const damaged = damage(shop, 'product', 'cup');
    await skip(shop, damaged);
    await shop.runtime.sleep(LOOKED_MS);
    const marked = await liveOf(shop, 'products');
    await undoSkip(shop.log, shop.runtime, { position: positionOf(damaged), reason: 'try', action: 'a2' });
    await shop.runtime.sleep(2 * LOOKED_MS);
    const last = shop.append('product', 'pot', productListed('pot'));
    await running.waitUntil(positionOf(last));
    expect(await liveOf(shop, 'products')).toEqual(marked);
    expect(running.status()[0]?.lastError).toContain(`at position ${damaged}`);
    await skip(shop, damaged, 'a3');
    await shop.runtime.sleep(LOOKED_MS);
    expect(running.status()[0]?.lastError).toBeUndefined();
    await running.stop();
  });
});

it('two instances with marks of different age end on one bucket, which both feed', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const [one, two] = [shop.start([products]), shop.start([products])];
    const tea = shop.append('product', 'tea', productListed('tea'));
    await Promise.all([one.waitUntil(positionOf(tea)), two.waitUntil(positionOf(tea))]);
    await skip(shop, tea);
    await shop.runtime.sleep(2 * LOOKED_MS);
    const { bucket } = await liveOf(shop, 'products');
    const pot = shop.append('product', 'pot', productListed('pot'));
    await Promise.all([one.waitUntil(positionOf(pot)), two.waitUntil(positionOf(pot))]);
    expect([await shop.json(bucket, 'tea'), await shop.json(bucket, 'pot')]).toEqual([
      undefined,
      expect.objectContaining({ sku: 'pot' }),
    ]);
    expect((await liveOf(shop, 'products')).bucket).toBe(bucket);
    await Promise.all([one.stop(), two.stop()]);
  });
});

it('marks are refused without reason, where no commit is, and at foreign messages; asked twice, they are set once', async () => {
  const shop = createShopWorld();
  const { log, runtime, store } = shop;
  const change = (position: number, reason = 'a disk lied') =>
    skipPosition(log, runtime, { position: positionOf(position), reason, action: 'a1' });
  await shop.world.run(async () => {
    shop.append('user', 'ada', userCreated('ada'));
    store.put({ category: 'user', id: 'bob' }, 0, Uint8Array.of(0x78));
    await expect(change(1, ' ')).rejects.toMatchObject({ code: 'mark/reason' });
    await expect(change(1, 'x'.repeat(501))).rejects.toMatchObject({ code: 'mark/reason' });
    await expect(change(2)).rejects.toMatchObject({ code: 'mark/foreign' });
    await expect(change(3)).rejects.toMatchObject({ code: 'mark/no-commit' });
    expect([await change(1), await change(1)]).toEqual([true, false]);
    // Garbage on their own subject marks nothing, and is in nobody's way.
    store.put(
      { category: '', id: 'marks' },
      store.version({ category: '', id: 'marks' }),
      Uint8Array.of(0x78),
    );
    const { skipped } = await readMarks(log);
    expect([...skipped.values()]).toEqual([
      {
        position: 1,
        stream: { category: 'user', id: 'ada' },
        reason: 'a disk lied',
        action: 'a1',
        at: expect.any(Number),
      },
    ]);
    const undo = () => undoSkip(log, runtime, { position: positionOf(1), reason: 'mended', action: 'a2' });
    expect([await undo(), await undo()]).toEqual([true, false]);
    expect((await readMarks(log)).skipped.size).toBe(0);
  });
});
