import { expect, test } from 'vitest';
import { BEGINNING, positionOf } from '../../../src/eventstore/position.ts';
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

/** Its groups of `users` beside `old-instance`: those for which the SHA-256 of `<id>/<view>.<group>` is the higher one. */
const NEW_INSTANCE = [0, 1, 6, 7, 9, 10, 12, 13, 14, 15];

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
    await Promise.all([one.waitUntil(positionOf(200)), two.waitUntil(positionOf(200))]);
    await one.stop();
    const position = shop.append('user', 'u7', userCreated('u7'));
    for (let i = 0; i < 100 && ownedBy(two) < 16; i++) await shop.runtime.sleep(50);
    expect(ownedBy(two)).toBe(16);
    await two.waitUntil(positionOf(position));
    expect(await shop.json('s_users_v1', 'u7')).toMatchObject({ version: position });
    await two.stop();
  });
});

test('an instance of an earlier build shares the groups, known by its stored heartbeat alone', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const members = await shop.buckets.create('s_members', { durable: true });
    // As builds have stored it since they share groups: the key is the id, and the value changes with each heartbeat.
    const beat = async (expectedRevision: number) => {
      const value = Buffer.from(JSON.stringify({ at: shop.runtime.now() }));
      await members.write({ key: 'old-instance', value, expectedRevision, position: BEGINNING });
    };
    await beat(0);
    const runtime = { ...shop.runtime, id: () => 'new-instance' };
    const sharing = createMembers({ ...shop, runtime, settings: { prefix: 's', memberMs: 5_000 } });
    const mine = async () => [...(await sharing.groupsOf('users', 16))];
    // Which of the two has which group must be the same in all builds.
    expect(await mine()).toEqual(NEW_INSTANCE);
    const row = await members.get('new-instance', { leader: true });
    expect(Buffer.from(row?.value ?? []).toString()).toMatch(/^\{"at":\d+\}$/);
    await shop.runtime.sleep(4_000);
    await beat((await members.get('old-instance', { leader: true }))?.revision ?? 0);
    expect(await mine()).toEqual(NEW_INSTANCE);
    await shop.runtime.sleep(4_000);
    expect(await mine()).toEqual(NEW_INSTANCE);
    await shop.runtime.sleep(4_000);
    expect(await mine()).toEqual(Array.from({ length: 16 }, (_, index) => index));
    await sharing.leave();
    expect(await shop.json('s_members', 'new-instance')).toBeUndefined();
  });
});

test('each group has a checkpoint of its own, and a query for one row waits only for that of its group', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([wide]);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(1));
    const keys = Array.from({ length: 16 }, (_, i) => `=checkpoint.${i}`);
    for (const key of keys) expect(await shop.json('s_users_v1', key)).toMatchObject({ position: 1 });
    await views.stop();
    const [, ahead] = [shop.append('user', 'u2', userCreated('u2')), 2];
    const bucket = await shop.buckets.open('s_users_v1');
    const reads = createReadModels({ ...shop, settings: shop.settings });
    await expect(reads.user('nobody', { minPosition: positionOf(ahead), waitMs: 50 })).rejects.toThrow(
      'position 1',
    );
    // Only the group of `nobody` moves on.
    for (const key of keys) {
      const stored = await bucket?.get(key);
      const value = JSON.parse(Buffer.from(stored?.value ?? []).toString());
      const moved = Buffer.from(JSON.stringify({ ...value, position: ahead }));
      const fence = { expectedRevision: stored?.revision ?? 0, position: positionOf(ahead) };
      await bucket?.write({ key, value: moved, ...fence });
      const answer = await reads.user('nobody', { minPosition: positionOf(ahead), waitMs: 20 }).then(
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
    await old.waitUntil(positionOf(50));
    await old.stop();
    const next = shop.start([wide]);
    await next.waitUntil(positionOf(50));
    expect(await shop.json('s_users_v2', '=checkpoint.3')).toMatchObject({ position: 50 });
    const reads = createReadModels({ ...shop, settings: shop.settings });
    const minPosition = shop.append('user', 'u9', userCreated('u9'));
    expect(await reads.user('u9', { minPosition: positionOf(minPosition) })).toMatchObject({
      position: minPosition,
    });
    await next.stop();
    reads.stop();
  });
});
