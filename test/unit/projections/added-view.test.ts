import { readFileSync } from 'node:fs';
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import { OrderConfirmedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { rebuild } from '../../../src/projections/engine/rebuild/rebuild.ts';
import { orderChanges } from './order-changes.ts';
import { createShopWorld, orderPlaced } from './shop-world.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

test('the page shows, in thirty lines at the most, exactly the view that these tests compile and run', () => {
  const [, shown = ''] =
    /## Add a read model[\s\S]*?```ts\n([\s\S]*?)```/.exec(read('../../../docs/read-models.md')) ?? [];
  // On the page it stands among the views.
  const compiled = read('./order-changes.ts')
    .replaceAll("'../../../src/projections/", "'../")
    .replaceAll("'../../../src/", "'../../");
  expect(shown).toBe(compiled);
  expect(shown.trim().split('\n').length).toBeLessThanOrEqual(30);
});

test('a view that is added from outside is filled, kept, and rebuilt like those of the shop', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    for (const id of ['o1', 'o2']) shop.append('order', id, orderPlaced(id, 'u1'));
    const views = shop.start([orderChanges]);
    await views.waitUntil(positionOf(2));
    const position = shop.append('order', 'o1', create(OrderConfirmedSchema, { confirmedAt: 1n }));
    await views.waitUntil(positionOf(position));
    expect(await shop.json('s_order_changes_v1', 'o1')).toEqual({ id: 'o1', changes: 2 });
    expect(await shop.json('s_order_changes_v1', 'o2')).toEqual({ id: 'o2', changes: 1 });
    const { log, buckets, runtime, settings } = shop;
    const { bucket } = await rebuild({ log, buckets, runtime, settings, projection: orderChanges });
    expect(bucket).toBe('s_order_changes_v2');
    expect(await shop.json(bucket, 'o1')).toEqual({ id: 'o1', changes: 2 });
    await views.stop();
  });
});
