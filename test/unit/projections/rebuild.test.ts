import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { createAliases } from '../../../src/projections/engine/aliases.ts';
import type { RebuildProgress } from '../../../src/projections/engine/observer.ts';
import { rebuild } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld, userCreated } from './shop-world.ts';

test('a rebuild fills a fresh bucket, switches, and the running service follows without a restart', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    for (let i = 0; i < 500; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    await views.waitUntil(positionOf(500));
    const reads = createReadModels({ ...shop, settings: shop.settings });
    const seen: RebuildProgress[] = [];
    const result = await rebuild({ ...shop, projection: users, onProgress: (p) => seen.push(p) });
    expect(result).toEqual({ bucket: 's_users_v2', switched: true, dropped: [] });
    expect(seen.at(-1)).toMatchObject({ view: 'users', applied: 500, total: 500, etaSeconds: 0 });
    const position = shop.append('user', 'late', userCreated('late'));
    const row = await reads.user('late', { minPosition: positionOf(position), waitMs: 5_000 });
    expect(row?.position).toBe(position);
    await shop.runtime.sleep(6_000);
    expect(await shop.json('s_users_v2', 'late')).toMatchObject({ id: 'late' });
    expect(views.status()[0]).toMatchObject({ position, running: true });
    await views.stop();
    reads.stop();
  });
});

test('the bucket that was live before is kept until the next rebuild', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    shop.append('user', 'u1', userCreated('u1'));
    for (const _ of [1, 2]) await rebuild({ ...shop, projection: users });
    expect(await rebuild({ ...shop, projection: users })).toEqual({
      bucket: 's_users_v3',
      switched: true,
      dropped: ['s_users_v1'],
    });
    expect(await shop.buckets.list('s_users_')).toEqual(['s_users_v2', 's_users_v3']);
  });
});

test('a rebuild of a few commits is quick: services get one look, and what nobody reads any more goes at once', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    for (let i = 0; i < 12; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    for (const _ of [1, 2]) await rebuild({ ...shop, projection: users });
    await shop.runtime.sleep(10_000);
    const began = shop.runtime.now();
    expect(await rebuild({ ...shop, projection: users })).toMatchObject({ dropped: ['s_users_v1'] });
    expect(shop.runtime.now() - began).toBeLessThan(2_000);
    // One that was live a moment ago may still be read.
    const again = shop.runtime.now();
    await rebuild({ ...shop, projection: users });
    expect(shop.runtime.now() - again).toBeGreaterThan(shop.settings.graceMs - 2_000);
  });
});

test('a rebuild does not switch a view that another one has switched meanwhile', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    shop.append('user', 'u1', userCreated('u1'));
    await rebuild({ ...shop, projection: users });
    const aliases = createAliases(shop.buckets, shop.settings.prefix);
    let revision: number | undefined;
    const onProgress = () => {
      revision ??= 1;
      void aliases.read('users').then((found) => {
        const other = { bucket: 's_users_other', version: 'x' };
        if (found !== undefined && found.revision === revision)
          void aliases.point('users', other, found.revision);
      });
    };
    const result = await rebuild({ ...shop, projection: users, onProgress });
    expect(result).toMatchObject({ switched: false, dropped: [] });
    expect((await aliases.read('users'))?.alias.bucket).toBe('s_users_other');
  });
});

test('a cancelled rebuild leaves the live bucket as it was', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    shop.append('user', 'u1', userCreated('u1'));
    await rebuild({ ...shop, projection: users });
    const controller = new AbortController();
    controller.abort();
    await expect(rebuild({ ...shop, projection: users, signal: controller.signal })).rejects.toThrow(
      'cancelled',
    );
    const found = await createAliases(shop.buckets, shop.settings.prefix).read('users');
    expect(found?.alias.bucket).toBe('s_users_v1');
  });
});

test('a changed projection is rebuilt beside its old bucket at start-up, and an older service does not switch back', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const old = shop.start([users]);
    shop.append('user', 'u1', userCreated('u1'));
    await old.waitUntil(positionOf(1));
    const next = { ...users, version: 2 };
    const service = shop.start([next]);
    await service.waitUntil(positionOf(1));
    const aliases = createAliases(shop.buckets, shop.settings.prefix);
    expect((await aliases.read('users'))?.alias.bucket).toBe('s_users_v2');
    await shop.runtime.sleep(10_000);
    expect((await aliases.read('users'))?.alias.bucket).toBe('s_users_v2');
    const position = shop.append('user', 'u2', userCreated('u2'));
    await Promise.all([old.waitUntil(positionOf(position)), service.waitUntil(positionOf(position))]);
    expect(await shop.json('s_users_v1', 'u2')).toMatchObject({ id: 'u2' });
    expect(await shop.json('s_users_v2', 'u2')).toMatchObject({ id: 'u2' });
    await Promise.all([old.stop(), service.stop()]);
  });
});

test('the bucket of the aliases is looked for once, and again where it does not answer', async () => {
  let opens = 0;
  let isGone = false;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    get: (...args) => (isGone ? Promise.reject(new LogUnavailable('gone')) : bucket.get(...args)),
  });
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const open = async (name: string): Promise<Bucket | undefined> => {
      opens++;
      return isGone ? undefined : shop.buckets.open(name);
    };
    const aliases = createAliases({ ...shop.buckets, open }, 's');
    await aliases.point('users', { bucket: 's_users_v1', version: 'x' }, 0);
    const read = async () => (await aliases.read('users'))?.alias.bucket;
    expect(await Promise.all([read(), read(), read()])).toEqual(['s_users_v1', 's_users_v1', 's_users_v1']);
    expect(await read()).toBe('s_users_v1');
    expect(opens).toBe(1);
    isGone = true;
    expect(await read()).toBeUndefined();
    isGone = false;
    expect(await read()).toBe('s_users_v1');
    expect(opens).toBe(3);
  });
});
