import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { createAliases } from '../../../src/projections/engine/aliases.ts';
import { createBucketWatch } from '../../../src/projections/engine/rebuild/lost-bucket.ts';
import { rebuild } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { startProjections } from '../../../src/projections/engine/start.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld, type ShopWorld, userCreated } from './shop-world.ts';

interface LossyShop extends ShopWorld {
  /** Deletes a bucket as an operator might: handles that are held answer from then on as NATS does. */
  lose(bucket: string): Promise<void>;
}

function createLossyShop(): LossyShop {
  const gone = new Set<string>();
  const noStream = (name: string) => new LogUnavailable(`${name}: no responders`);
  const around = (bucket: Bucket): Bucket => {
    const { name } = bucket;
    return {
      ...bucket,
      writeAll: undefined,
      get: async (key, options) => {
        if (!gone.has(name)) return bucket.get(key, options);
        // The leader's API says 404, which is how it says that a key has no value.
        if (options?.leader === true) return undefined;
        throw noStream(name);
      },
      write: async (row) => {
        if (gone.has(name)) throw noStream(name);
        return bucket.write(row);
      },
    };
  };
  const shop = createShopWorld({ around });
  const lose = async (bucket: string): Promise<void> => {
    gone.add(bucket);
    await shop.buckets.drop(bucket);
  };
  return { ...shop, lose };
}

const BUCKET = 's_users_v1';

test('a view that lost its bucket fills a new one by itself, not before 5 s have passed, and queries say it meanwhile', async () => {
  const shop = createLossyShop();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    const last = shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(last));
    const reads = createReadModels({ ...shop, settings: shop.settings });
    expect(await reads.user('u1')).toBeDefined();
    await shop.lose(BUCKET);
    await shop.runtime.sleep(4_000);
    for (const options of [{}, { minPosition: positionOf(last), waitMs: 100 }])
      await expect(reads.user('u1', options)).rejects.toMatchObject({ code: 'view/lost' });
    const status = (await reads.status()).find(({ view }) => view === 'users');
    expect(status).toMatchObject({ running: false, lastError: expect.stringContaining(`${BUCKET} is gone`) });
    expect(views.status()[0]?.lastError).toContain('by itself');
    expect(await shop.buckets.list('s_users_')).toEqual([]);

    await shop.runtime.sleep(6_000);
    // The name is a new one: no reader that still knows the old one sees a half-filled bucket.
    expect((await createAliases(shop.buckets, 's').read('users'))?.alias.bucket).toBe('s_users_v2');
    const next = shop.append('user', 'u2', userCreated('u2'));
    const options = { minPosition: positionOf(next), waitMs: 5_000 };
    expect([await reads.user('u1', options), await reads.user('u2', options)]).toMatchObject([
      { position: last },
      { position: next },
    ]);
    expect(views.status()[0]).toMatchObject({ running: true, lastError: undefined });
    await views.stop();
    reads.stop();
  });
});

test('a service that starts without the bucket of its view heals it, too', async () => {
  const shop = createLossyShop();
  await shop.world.run(async () => {
    const before = shop.start([users]);
    const last = shop.append('user', 'u1', userCreated('u1'));
    await before.waitUntil(positionOf(last));
    await before.stop();
    await shop.lose(BUCKET);
    const views = shop.start([users]);
    await views.waitUntil(positionOf(last));
    expect(await shop.json('s_users_v2', 'u1')).toMatchObject({ id: 'u1' });
    await views.stop();
  });
});

test('two services that see the same loss end on one bucket, which both feed', async () => {
  const shop = createLossyShop();
  await shop.world.run(async () => {
    const both = [shop.start([users]), shop.start([users])];
    const last = shop.append('user', 'u1', userCreated('u1'));
    for (const views of both) await views.waitUntil(positionOf(last));
    await shop.lose(BUCKET);
    await shop.runtime.sleep(12_000);
    const next = shop.append('user', 'u2', userCreated('u2'));
    for (const views of both) await views.waitUntil(positionOf(next));
    const alias = (await createAliases(shop.buckets, 's').read('users'))?.alias;
    expect(await shop.buckets.list('s_users_')).toEqual([alias?.bucket]);
    for (const id of ['u1', 'u2']) expect(await shop.json(alias?.bucket ?? '', id)).toMatchObject({ id });
    for (const views of both) await views.stop();
  });
});

test('nothing is filled from a log that was made anew under the service', async () => {
  const shop = createLossyShop();
  await shop.world.run(async () => {
    const { log, buckets, runtime, settings } = shop;
    const sameLog = async () => false;
    const views = startProjections({ log, buckets, runtime, settings, projections: [users], sameLog });
    await views.waitUntil(positionOf(shop.append('user', 'u1', userCreated('u1'))));
    await shop.lose(BUCKET);
    await shop.runtime.sleep(20_000);
    expect(await shop.buckets.list('s_users_')).toEqual([]);
    expect(views.status()[0]).toMatchObject({ running: false });
    await views.stop();
  });
});

test('a rebuild by hand of a view whose bucket is gone takes a name that it never had', async () => {
  const shop = createLossyShop();
  await shop.world.run(async () => {
    shop.append('user', 'u1', userCreated('u1'));
    await rebuild({ ...shop, projection: users });
    await shop.lose(BUCKET);
    expect(await rebuild({ ...shop, projection: users })).toMatchObject({
      bucket: 's_users_v2',
      switched: true,
    });
  });
});

test('a bucket is lost by two answers 5 s apart, and an answer between that finds it, or a switch, begins anew', async () => {
  let now = 0;
  let there = false;
  const shop = createShopWorld();
  const bucket = await shop.buckets.create('b', { durable: true });
  const stateOf = createBucketWatch({
    buckets: { ...shop.buckets, open: async () => (there ? bucket : undefined) },
    runtime: { ...shop.runtime, now: () => now },
    settings: { lostMs: 5_000 },
  });
  const at = (time: number, revision = 1, isAtWork = false) => {
    now = time;
    return stateOf({ alias: { bucket: 'b', version: '1' }, revision }, isAtWork);
  };
  expect([await at(0), await at(4_999), await at(5_000)]).toEqual(['missing', 'missing', 'lost']);
  there = true;
  expect(await at(6_000)).toBe('there');
  there = false;
  expect([await at(7_000), await at(11_999)]).toEqual(['missing', 'missing']);
  expect(await at(12_000, 2)).toBe('missing');
  expect(await at(13_000, 2, true)).toBe('there');
  expect([await at(17_500, 2), await at(22_500, 2)]).toEqual(['missing', 'lost']);
});
