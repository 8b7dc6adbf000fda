import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { BEGINNING, type Position, positionOf } from '../../../src/eventstore/position.ts';
import { UserRenamedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { createAliases } from '../../../src/projections/engine/aliases.ts';
import type { RebuildProgress } from '../../../src/projections/engine/observer.ts';
import type { Difference } from '../../../src/projections/engine/rebuild/difference.ts';
import { rebuild, refoldOne, rollback } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { ordersByUser } from '../../../src/projections/views/orders-by-user.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld, orderPlaced, type ShopWorld, userCreated } from './shop-world.ts';

const renamed = (name: string) => create(UserRenamedSchema, { name });

/** Writes something wrong into a row, as no runner would. */
async function spoil(shop: ShopWorld, key: string, row: object | undefined, position?: Position) {
  const bucket = await shop.buckets.open('s_users_v1');
  const stored = await bucket?.get(key, { leader: true });
  const value = row && Buffer.from(JSON.stringify(row));
  const fence = {
    expectedRevision: stored?.revision ?? 0,
    position: position ?? stored?.position ?? BEGINNING,
  };
  await bucket?.write({ key, value, ...fence });
}

async function filled(shop: ShopWorld, count: number): Promise<void> {
  const views = shop.start([users]);
  for (let i = 0; i < count; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
  await views.waitUntil(positionOf(shop.store.head()));
  await views.stop();
}

const liveBucket = async (shop: ShopWorld) =>
  (await createAliases(shop.buckets, 's').read('users'))?.alias.bucket;

test('a comparison names each key at which the new bucket shows something else', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    await filled(shop, 300);
    await spoil(shop, 'u7', { wrong: true });
    await spoil(shop, 'u8', undefined);
    await spoil(shop, 'ghost', { never: 'was' });
    const seen: Difference[] = [];
    const onDifference = (difference: Difference) => seen.push(difference);
    const result = await rebuild({ ...shop, projection: users, onDifference });
    expect(result.comparison).toEqual({ rows: 300, differing: 3, open: 0 });
    expect(seen.sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual([
      { key: 'ghost', kind: 'only-old' },
      { key: 'u7', kind: 'changed' },
      { key: 'u8', kind: 'only-new' },
    ]);
  });
});

test('a comparison beside a view that goes on being written finds no difference that is none', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    for (let i = 0; i < 200; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    await views.waitUntil(positionOf(200));
    let done = false;
    const writing = (async () => {
      for (let n = 0; !done; n++) {
        shop.append('user', `u${n % 200}`, renamed(`${n}`));
        await shop.runtime.sleep(3);
      }
    })();
    const { comparison } = await rebuild({ ...shop, projection: users, onDifference: () => undefined });
    done = true;
    await writing;
    expect(comparison).toMatchObject({ differing: 0, open: 0 });
    await views.stop();
  });
});

test('a throttled rebuild reads no faster than it is allowed to', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    await filled(shop, 300);
    const started = shop.runtime.now();
    const progress: RebuildProgress[] = [];
    const onProgress = (p: RebuildProgress) => progress.push(p);
    await rebuild({ ...shop, projection: users, commitsPerSecond: 100, onProgress });
    expect(shop.runtime.now() - started).toBeGreaterThan(2_500);
    const middle = progress[Math.floor(progress.length / 2)];
    expect(middle?.applied).toBeLessThan(300);
    expect(middle?.etaSeconds).toBeGreaterThan(0);
  });
});

test('a cancelled rebuild can be resumed, and does not begin again', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    await filled(shop, 300);
    const controller = new AbortController();
    const onProgress = ({ applied }: RebuildProgress) => {
      if (applied >= 100) controller.abort();
    };
    const slow = { projection: users, commitsPerSecond: 100, onProgress, signal: controller.signal };
    await expect(rebuild({ ...shop, ...slow })).rejects.toThrow('cancelled');
    expect(await liveBucket(shop)).toBe('s_users_v1');
    const progress: RebuildProgress[] = [];
    const result = await rebuild({
      ...shop,
      projection: users,
      resume: true,
      onProgress: (p) => progress.push(p),
    });
    expect(result).toMatchObject({ bucket: 's_users_v2', switched: true });
    expect(progress.find(({ applied }) => applied > 0)?.applied).toBeGreaterThanOrEqual(90);
    expect(await shop.json('s_users_v2', 'u299')).toMatchObject({ id: 'u299' });
  });
});

test('a rebuild from a position keeps the rows before it and folds all later ones anew', async () => {
  for (const from of [{ position: positionOf(250) }, { time: 1 }]) {
    const shop = createShopWorld();
    await shop.world.run(async () => {
      const views = shop.start([users]);
      for (let i = 0; i < 200; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
      for (let i = 0; i < 100; i++) shop.append('user', `u${i}`, renamed('later'));
      await views.waitUntil(positionOf(300));
      await views.stop();
      await spoil(shop, 'u60', { wrong: true });
      await spoil(shop, 'u99', undefined);
      await rebuild({ ...shop, projection: users, from });
      for (const id of ['u0', 'u60', 'u99'])
        expect(await shop.json('s_users_v2', id)).toMatchObject({ name: 'later' });
      expect(await shop.json('s_users_v2', 'u150')).toMatchObject({ name: 'u150', version: 151 });
    });
  }
});

test('a rebuild from a position is refused where it would not be the plain fold, with the reason', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const from = { position: positionOf(1) };
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    await expect(rebuild({ ...shop, projection: ordersByUser, from })).rejects.toThrow('cross aggregates');
    await expect(rebuild({ ...shop, projection: users, from })).rejects.toThrow('no rows yet');
    await filled(shop, 3);
    const next = { ...users, version: 99 };
    await expect(rebuild({ ...shop, projection: next, from })).rejects.toThrow('another version');
    const beyond = rebuild({ ...shop, projection: users, from: { position: positionOf(99) } });
    await expect(beyond).rejects.toThrow('not between 0 and its checkpoint 4');
    expect(await liveBucket(shop)).toBe('s_users_v1');
  });
});

test('one row is folded again from the log while the view runs', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(1));
    await spoil(shop, 'u1', { wrong: true });
    expect(await refoldOne({ ...shop, projection: users, id: 'u1' })).toEqual({ position: positionOf(1) });
    expect(await shop.json('s_users_v1', 'u1')).toMatchObject({ name: 'u1', version: 1 });
    const position = shop.append('user', 'u1', renamed('next'));
    await views.waitUntil(positionOf(position));
    expect(await shop.json('s_users_v1', 'u1')).toMatchObject({ name: 'next', version: position });
    await expect(refoldOne({ ...shop, projection: users, id: 'nobody' })).rejects.toThrow('no aggregate');
    await views.stop();
  });
});

test('a rollback goes to the bucket before, once that one has caught up', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    await filled(shop, 10);
    await expect(rollback({ ...shop, projection: users })).rejects.toThrow('no earlier bucket');
    await rebuild({ ...shop, projection: users });
    shop.append('user', 'late', userCreated('late'));
    const views = shop.start([users]);
    await views.waitUntil(positionOf(11));
    expect(await rollback({ ...shop, projection: users })).toMatchObject({
      bucket: 's_users_v1',
      switched: true,
    });
    expect(await liveBucket(shop)).toBe('s_users_v1');
    expect(await shop.json('s_users_v1', 'late')).toMatchObject({ id: 'late' });
    await views.stop();
  });
});

// docs/read-models.md says how to run it for longer.
const SWITCH_SEEDS = Number(process.env.SWITCH_SEEDS ?? 2);
const SWITCHES = Number(process.env.SWITCHES ?? 2);

test(
  'no read fails or shows something older than was promised while views are rebuilt and rolled back under load',
  async () => {
    for (let seed = 1; seed <= SWITCH_SEEDS; seed++) {
      const shop = createShopWorld({ seed });
      await shop.world.run(async () => {
        const views = shop.start([users]);
        const reads = createReadModels({
          ...shop,
          settings: shop.settings,
          requestCheckpoint: views.requestCheckpoint,
        });
        let done = false;
        let answers = 0;
        const load = async (worker: number) => {
          for (let n = 0; !done; n++) {
            const id = `w${worker}-${n % 20}`;
            const position =
              n < 20
                ? shop.append('user', id, userCreated(id))
                : shop.append('user', id, renamed(`${id} ${n}`));
            const row = await reads.user(id, { minPosition: positionOf(position), waitMs: 10_000 });
            const name = JSON.parse(Buffer.from(row?.json ?? []).toString()).name;
            expect([row?.position, name]).toEqual([position, n < 20 ? id : `${id} ${n}`]);
            expect((await reads.user(id))?.position).toBeDefined();
            answers++;
            await shop.runtime.sleep(5);
          }
        };
        const loads = [1, 2, 3].map(load);
        for (let n = 0; n < SWITCHES; n++) await rebuild({ ...shop, projection: users });
        await rollback({ ...shop, projection: users });
        done = true;
        await Promise.all(loads);
        expect(answers).toBeGreaterThan(100);
        await views.stop();
        reads.stop();
      });
    }
  },
  60_000 * Math.ceil((SWITCH_SEEDS * SWITCHES) / 4),
);
