import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { user } from '../../../src/domain/user.ts';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { BEGINNING, positionOf } from '../../../src/eventstore/position.ts';
import { UserRenamedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { CHECKPOINT_KEY } from '../../../src/projections/engine/checkpoint.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { users } from '../../../src/projections/views/users.ts';
import { views as allProjections } from '../../../src/service/shop.ts';
import { createShopWorld, orderPlaced, productListed, userCreated } from './shop-world.ts';

test('all views that keep up are fed by one scan of the log', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start(allProjections);
    for (let i = 0; i < 30; i++) shop.append('user', `u${i}`, userCreated(`u${i}`));
    await views.waitUntil(positionOf(30));
    expect(views.scans()).toBe(1);
    expect(views.status().map(({ view, lag, running }) => [view, lag, running])).toEqual(
      allProjections.map(({ name }) => [name, 0, true]),
    );
    await views.stop();
  });
});

test('a view that is new catches up beside the others and then joins their scan', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const first = shop.start([users]);
    for (let i = 0; i < 1_500; i++) shop.append('user', `u${i % 50}`, userCreated(`u${i % 50}`));
    await first.waitUntil(positionOf(1_500));
    await first.stop();
    const both = shop.start([users, orders]);
    await both.waitUntil(positionOf(1_500));
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    await both.waitUntil(positionOf(1_501));
    expect(both.scans()).toBe(1);
    await both.stop();
  });
});

test('an event that nobody can read stops its view there with name, position and reason, and no other view', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const errors: [string, unknown][] = [];
    const views = shop.start([users, orders], (view, error) => errors.push([view, error]));
    shop.append('user', 'u1', userCreated('u1'));
    shop.appendUnknown('user', 'u1');
    shop.append('user', 'u2', userCreated('u2'));
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    await expect(views.waitUntil(positionOf(4))).rejects.toMatchObject({ view: 'users', position: 2 });
    const ordersOnly = () => views.status().find(({ view }) => view === 'orders');
    while (ordersOnly()?.position !== positionOf(4)) await shop.runtime.sleep(10);
    expect(errors.map(([view]) => view)).toEqual(['users']);
    const [stopped] = views.status();
    expect(stopped).toMatchObject({ view: 'users', position: 1, running: false });
    expect(stopped?.lastError).toContain('FromTheFuture');
    expect(await shop.json('s_users_v1', 'u1')).toMatchObject({ version: 1 });
    expect(await shop.json('s_users_v1', 'u2')).toBeUndefined();
    await views.stop();
  });
});

test('a projection that throws stops its view and keeps what came before', async () => {
  const shop = createShopWorld();
  const fragile: Projection = {
    name: 'fragile',
    version: 1,
    sources: [user],
    crossesAggregates: false,
    keyOf: (_event, { stream }) => stream.id,
    evolve: (_row, _event, { stream, position }) => {
      if (stream.id === 'bad') throw new Error('cannot do this one');
      return { position };
    },
  };
  await shop.world.run(async () => {
    const views = shop.start([fragile]);
    shop.append('user', 'good', userCreated('good'));
    shop.append('user', 'bad', userCreated('bad'));
    await expect(views.waitUntil(positionOf(2))).rejects.toThrow('cannot do this one');
    expect(await shop.json('s_fragile_v1', 'good')).toEqual({ position: 1 });
    expect(views.status()[0]).toMatchObject({ position: 1, running: false });
    await views.stop();
  });
});

test('while a bucket is away its view waits, the others go on, and afterwards nothing is missing', async () => {
  let away = false;
  const around = (bucket: Bucket): Bucket => {
    const guard = <T>(call: () => Promise<T>): Promise<T> =>
      away && bucket.name === 's_users_v1' ? Promise.reject(new LogUnavailable('away')) : call();
    return {
      ...bucket,
      writeAll: undefined,
      get: (key, options) => guard(() => bucket.get(key, options)),
      write: (row) => guard(() => bucket.write(row)),
    };
  };
  const shop = createShopWorld({ around });
  await shop.world.run(async () => {
    const views = shop.start([users, orders]);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(1));
    away = true;
    shop.append('user', 'u1', create(UserRenamedSchema, { name: 'Renamed' }));
    shop.append('order', 'o1', orderPlaced('o1', 'u1'));
    const position = (view: string) => views.status().find((status) => status.view === view)?.position;
    while (position('orders') !== positionOf(3)) await shop.runtime.sleep(10);
    await shop.runtime.sleep(30_000);
    expect(position('users')).toBe(1);
    away = false;
    await views.waitUntil(positionOf(3));
    expect(await shop.json('s_users_v1', 'u1')).toMatchObject({ name: 'Renamed', version: 2 });
    await views.stop();
  });
});

test('a checkpoint of another incarnation of the log, or beyond its end, stops the view with the way out', async () => {
  for (const wrong of [{ incarnation: 'life-0' }, { position: 99 }]) {
    const shop = createShopWorld();
    await shop.world.run(async () => {
      shop.append('user', 'u1', userCreated('u1'));
      const first = shop.start([users]);
      await first.waitUntil(positionOf(1));
      await first.stop();
      const bucket = await shop.buckets.open('s_users_v1');
      const stored = await bucket?.get(CHECKPOINT_KEY);
      const value = { ...JSON.parse(Buffer.from(stored?.value ?? []).toString()), ...wrong };
      await bucket?.write({
        key: CHECKPOINT_KEY,
        value: Buffer.from(JSON.stringify(value)),
        expectedRevision: stored?.revision ?? 0,
        position: positionOf(1),
      });
      const views = shop.start([users]);
      await expect(views.waitUntil(positionOf(1))).rejects.toThrow('Rebuild users, please.');
      expect(views.status()[0]?.running).toBe(false);
      await views.stop();
    });
  }
});

test('stopping writes the checkpoint, so that the next start repeats nothing', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([users]);
    await views.waitUntil(BEGINNING);
    for (let i = 1; i <= 20; i++) shop.append('product', `p${i}`, productListed(`p${i}`));
    shop.append('user', 'u1', userCreated('u1'));
    while ((await shop.json('s_users_v1', 'u1')) === undefined) await shop.runtime.sleep(1);
    await views.stop();
    expect(await shop.json('s_users_v1', CHECKPOINT_KEY)).toMatchObject({ position: 21 });
  });
});

/** How often a row is written that changes five times within a twentieth of a second, and how long who waits then waits. */
async function writesOfBusyRow(isAwaited: boolean): Promise<{ writes: number; waitedMs: number }> {
  let writes = 0;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    writeAll: undefined,
    write: (row) => {
      if (row.key === 'u1') writes++;
      return bucket.write(row);
    },
  });
  const shop = createShopWorld({ around });
  let waitedMs = 0;
  await shop.world.run(async () => {
    const views = shop.start([users]);
    shop.append('user', 'u1', userCreated('u1'));
    await views.waitUntil(positionOf(1));
    for (let n = 2; n <= 6; n++) {
      shop.append('user', 'u1', create(UserRenamedSchema, { name: `Name ${n}` }));
      await shop.runtime.sleep(10);
    }
    const begun = shop.runtime.now();
    if (isAwaited) await views.requestCheckpoint('users', 's_users_v1', 0, positionOf(6))?.reached;
    waitedMs = shop.runtime.now() - begun;
    await views.waitUntil(positionOf(6));
    expect(await shop.json('s_users_v1', 'u1')).toMatchObject({ name: 'Name 6', version: 6 });
    await views.stop();
  });
  return { writes, waitedMs };
}

test('a row that changes again and again is written once for what comes within a tenth of a second', async () => {
  expect(await writesOfBusyRow(false)).toMatchObject({ writes: 2 });
});

test('a row rests no longer once somebody waits for its view', async () => {
  const { waitedMs } = await writesOfBusyRow(true);
  expect(waitedMs).toBeLessThan(20);
});

/** How often rows are written that appear `perSecond` times a second for two seconds and change once, 60 ms later. */
async function writesOfNewRows(perSecond: number): Promise<number> {
  let writes = 0;
  const around = (bucket: Bucket): Bucket => ({
    ...bucket,
    writeAll: undefined,
    write: (row) => {
      if (row.key.startsWith('u')) writes++;
      return bucket.write(row);
    },
  });
  const shop = createShopWorld({ around });
  const rows = 2 * perSecond;
  await shop.world.run(async () => {
    const views = shop.start([users]);
    const change = async (id: string): Promise<void> => {
      shop.append('user', id, userCreated(id));
      await shop.runtime.sleep(60);
      shop.append('user', id, create(UserRenamedSchema, { name: 'Ada' }));
    };
    const changes: Promise<void>[] = [];
    for (let n = 0; n < rows; n++) {
      changes.push(change(`u${n}`));
      await shop.runtime.sleep(1_000 / perSecond);
    }
    await Promise.all(changes);
    await views.waitUntil(positionOf(2 * rows));
    expect(await shop.json('s_users_v1', `u${rows - 1}`)).toMatchObject({ name: 'Ada' });
    await views.stop();
  });
  return writes / rows;
}

test('a new row is written at once, but where a hundred come each second they rest, too', async () => {
  expect(await writesOfNewRows(40)).toBeGreaterThan(1.9);
  expect(await writesOfNewRows(200)).toBeLessThan(1.4);
});
