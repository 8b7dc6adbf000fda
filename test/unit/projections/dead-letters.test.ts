import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import { UserRenamedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import {
  createAliases,
  createBucketResolver,
  watchAliases,
} from '../../../src/projections/engine/aliases.ts';
import { MOST_MARKS } from '../../../src/projections/engine/dead-letters.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import { refoldOne } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { createViewAccess, createWaits } from '../../../src/projections/engine/view-access.ts';
import { users } from '../../../src/projections/views/users.ts';
import { createShopWorld, type ShopWorld, userCreated } from './shop-world.ts';

const renamed = (name: string) => create(UserRenamedSchema, { name });

/** Users whose rename to `poison` cannot be applied while `broken` says so. */
function fragileUsers(broken: () => boolean): Projection {
  return {
    ...users,
    onUnapplied: 'dead-letter',
    evolve: (row, event, context) => {
      const { name } = event as { name?: string };
      if (name === 'poison' && broken()) throw new Error('cannot do this one');
      return users.evolve(row as never, event as never, context);
    },
  } as Projection;
}

function accessTo(shop: ShopWorld, projection: Projection) {
  const { buckets, runtime, log } = shop;
  const aliases = watchAliases(createAliases(buckets, shop.settings.prefix), runtime, 100);
  const resolver = createBucketResolver({
    buckets,
    aliases,
    runtime,
    settings: { resolveMs: 100 },
    incarnation: log.incarnation,
  });
  return createViewAccess({ projection, log, resolver, runtime, waits: createWaits(runtime) });
}

test('an event that cannot be applied makes a dead letter of its aggregate only, and the others flow on', async () => {
  const shop = createShopWorld();
  const projection = fragileUsers(() => true);
  await shop.world.run(async () => {
    const views = shop.start([projection]);
    for (const id of ['a', 'b']) shop.append('user', id, userCreated(id));
    shop.append('user', 'a', renamed('poison'));
    shop.append('user', 'a', renamed('later'));
    shop.append('user', 'b', renamed('fine'));
    await views.waitUntil(positionOf(5));
    expect(await shop.json('s_users_v1', 'a')).toMatchObject({ name: 'a', version: 1 });
    expect(await shop.json('s_users_v1', 'b')).toMatchObject({ name: 'fine', version: 5 });
    const deadLetters = [{ key: 'a', position: 3, reason: 'cannot do this one' }];
    expect(views.status()).toMatchObject([{ running: true, lag: 0, deadLetters }]);
    await views.stop();
    const again = shop.start([projection]);
    shop.append('user', 'a', renamed('even later'));
    await again.waitUntil(positionOf(6));
    expect(again.status()).toMatchObject([{ running: true, deadLetters }]);
    expect(await shop.json('s_users_v1', 'a')).toMatchObject({ version: 1 });
    await again.stop();
  });
});

test('an event of an unknown type becomes a dead letter as well', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([fragileUsers(() => false)]);
    shop.append('user', 'a', userCreated('a'));
    shop.appendUnknown('user', 'a');
    shop.append('user', 'b', userCreated('b'));
    await views.waitUntil(positionOf(3));
    expect(views.status()[0]?.deadLetters).toMatchObject([{ key: 'a', position: 2 }]);
    await views.stop();
  });
});

test('a query never takes a dead letter for one that has seen the demanded position', async () => {
  const shop = createShopWorld();
  const projection = fragileUsers(() => true);
  await shop.world.run(async () => {
    const views = shop.start([projection]);
    shop.append('user', 'a', userCreated('a'));
    const minPosition = shop.append('user', 'a', renamed('poison'));
    await views.waitUntil(positionOf(minPosition));
    const access = accessTo(shop, projection);
    expect(await access.row('a')).toMatchObject({ position: 1 });
    await expect(
      access.row('a', { minPosition: positionOf(minPosition), waitMs: 100 }),
    ).rejects.toMatchObject({ reached: 1 });
    expect(await access.row('b', { minPosition: positionOf(minPosition), waitMs: 100 })).toBeUndefined();
    await views.stop();
  });
});

test('once it can be applied, folding the row again releases it, and the running view goes on with it', async () => {
  const shop = createShopWorld();
  let broken = true;
  const projection = fragileUsers(() => broken);
  await shop.world.run(async () => {
    const views = shop.start([projection]);
    shop.append('user', 'a', userCreated('a'));
    shop.append('user', 'a', renamed('poison'));
    await views.waitUntil(positionOf(2));
    await expect(refoldOne({ ...shop, projection, id: 'a' })).rejects.toThrow('cannot do this one');
    broken = false;
    expect(await refoldOne({ ...shop, projection, id: 'a' })).toEqual({ position: 2 });
    expect(await shop.json('s_users_v1', 'a')).toMatchObject({ name: 'poison', version: 2 });
    const position = shop.append('user', 'a', renamed('afterwards'));
    while (views.status()[0]?.deadLetters?.length !== 0) await shop.runtime.sleep(50);
    await views.waitUntil(positionOf(position));
    expect(await shop.json('s_users_v1', 'a')).toMatchObject({ name: 'afterwards', version: position });
    const access = accessTo(shop, projection);
    const later = shop.append('user', 'b', userCreated('b'));
    expect(await access.row('a', { minPosition: positionOf(later) })).toMatchObject({ position });
    await views.stop();
  });
});

test('more dead letters than there is room for stop the view: that is no exception any more', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([fragileUsers(() => true)]);
    for (let i = 0; i <= MOST_MARKS; i++) {
      shop.append('user', `u${i}`, userCreated(`u${i}`));
      shop.append('user', `u${i}`, renamed('poison'));
    }
    await expect(views.waitUntil(positionOf(2 * MOST_MARKS + 2))).rejects.toThrow(
      '100 aggregates are dead letters already',
    );
    await views.stop();
  });
});
