import { expect, test } from 'vitest';
import { createMembers } from '../../../src/projections/engine/members.ts';
import { type Projections, startProjections } from '../../../src/projections/engine/start.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld, type ShopWorld, userCreated } from './shop-world.ts';

const wide = { ...users, groups: 16 } as const;

function instance(shop: ShopWorld): Projections {
  const { log, buckets, runtime } = shop;
  const settings = { ...shop.settings, memberMs: 5_000, resolveMs: 500 };
  const sharing = createMembers({ buckets, runtime, settings });
  return startProjections({ log, buckets, runtime, settings, sharing, projections: [wide] });
}

const ownedBy = (...views: Projections[]) =>
  views.map((view) => view.status()[0]?.groups?.owned ?? 0).reduce((sum, owned) => sum + owned, 0);

test('two instances divide the groups, and the one that stays takes over the other’s at once when it leaves', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const [one, two] = [instance(shop), instance(shop)];
    for (let i = 0; i < 200; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    const divided = () => ownedBy(one) > 0 && ownedBy(two) > 0 && ownedBy(one, two) === 16;
    for (let i = 0; i < 100 && !divided(); i++) await shop.runtime.sleep(100);
    expect(divided()).toBe(true);
    await Promise.all([one.waitUntil(200), two.waitUntil(200)]);
    await one.stop();
    const position = shop.append('user', 'u7', userCreated('u7'));
    for (let i = 0; i < 100 && ownedBy(two) < 16; i++) await shop.runtime.sleep(50);
    expect(ownedBy(two)).toBe(16);
    await two.waitUntil(position);
    expect(await shop.json('s_users_v1', 'u7')).toMatchObject({ version: position });
    await two.stop();
  });
});

test('each group has a checkpoint of its own, and a query for one row waits only for that of its group', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([wide]);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(1);
    const keys = Array.from({ length: 16 }, (_, i) => `=checkpoint.${i}`);
    for (const key of keys) expect(await shop.json('s_users_v1', key)).toMatchObject({ position: 1 });
    await views.stop();
    const [, ahead] = [shop.append('user', 'u2', userCreated('u2')), 2];
    const bucket = await shop.buckets.open('s_users_v1');
    const reads = createReadModels({ ...shop, settings: shop.settings });
    await expect(reads.user('nobody', { minPosition: ahead, waitMs: 50 })).rejects.toThrow('position 1');
    // Only the group of `nobody` moves on.
    for (const key of keys) {
      const stored = await bucket?.get(key);
      const value = JSON.parse(Buffer.from(stored?.value ?? []).toString());
      const moved = Buffer.from(JSON.stringify({ ...value, position: ahead }));
      const fence = { expectedRevision: stored?.revision ?? 0, position: ahead };
      await bucket?.write({ key, value: moved, ...fence });
      const answer = await reads.user('nobody', { minPosition: ahead, waitMs: 20 }).then(
        () => 'there',
        () => 'behind',
      );
      if (answer === 'there') return expect(keys.indexOf(key)).toBeLessThan(15);
    }
    expect.unreachable('no group was the row’s');
  });
});

test('another number of groups is another version, which is built beside', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const old = shop.start([users]);
    for (let i = 0; i < 50; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    await old.waitUntil(50);
    await old.stop();
    const next = shop.start([wide]);
    await next.waitUntil(50);
    expect(await shop.json('s_users_v2', '=checkpoint.3')).toMatchObject({ position: 50 });
    const reads = createReadModels({ ...shop, settings: shop.settings });
    const minPosition = shop.append('user', 'u9', userCreated('u9'));
    expect(await reads.user('u9', { minPosition })).toMatchObject({ position: minPosition });
    await next.stop();
    reads.stop();
  });
});
