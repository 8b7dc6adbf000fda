import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import {
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
  OrderRejectedSchema,
  PaymentCapturedSchema,
  PaymentRefundedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { InvalidPeriod, statistics } from '../../../src/projections/views/statistics.ts';
import { createReadModels } from '../../support/read-models.ts';
import { createShopWorld } from './shop-world.ts';

const day = (n: number) => BigInt(Date.UTC(2026, 0, n, 23, 59));
const placed = (init: MessageInitShape<typeof OrderPlacedSchema>) => create(OrderPlacedSchema, init);

test('the statistics count orders and money per day and currency, and rejections per step', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const views = shop.start([statistics]);
    const huge = 2n ** 60n;
    shop.append('order', 'o1', placed({ currency: 'EUR', totalMinor: huge, placedAt: day(1) }));
    shop.append('order', 'o2', placed({ currency: 'EUR', totalMinor: huge, placedAt: day(1) }));
    shop.append('order', 'o3', placed({ currency: 'USD', totalMinor: 5n, placedAt: day(1) }));
    const money = { currency: 'EUR', amountMinor: huge };
    shop.append('order', 'o1', create(PaymentCapturedSchema, { ...money, capturedAt: day(2) }));
    shop.append('order', 'o1', create(OrderConfirmedSchema, { confirmedAt: day(2) }));
    shop.append('order', 'o1', create(OrderRefundGrantedSchema, { grantedAt: day(4) }));
    shop.append('order', 'o1', create(PaymentRefundedSchema, { ...money, refundedAt: day(4) }));
    const rejected = { step: 'inventory', code: 'x', reason: 'x', rejectedAt: day(4) };
    const minPosition = shop.append('order', 'o3', create(OrderRejectedSchema, rejected));
    const reads = createReadModels({
      ...shop,
      settings: shop.settings,
      requestCheckpoint: views.requestCheckpoint,
    });
    const period = { from: '2026-01-01', to: '2026-01-31', minPosition: positionOf(minPosition) };
    const zero = { ordersPlaced: 0, placedMinor: '0', capturedMinor: '0', refundedMinor: '0' };
    const quiet = { ordersConfirmed: 0, ordersCancelled: 0, rejections: {} };
    expect(await reads.statistics(period)).toEqual({
      days: [
        {
          ...quiet,
          day: '2026-01-01',
          currencies: [
            { ...zero, currency: 'EUR', ordersPlaced: 2, placedMinor: String(2n * huge) },
            { ...zero, currency: 'USD', ordersPlaced: 1, placedMinor: '5' },
          ],
        },
        {
          ...quiet,
          day: '2026-01-02',
          currencies: [{ ...zero, currency: 'EUR', capturedMinor: String(huge) }],
          ordersConfirmed: 1,
        },
        {
          ...quiet,
          day: '2026-01-04',
          currencies: [{ ...zero, currency: 'EUR', refundedMinor: String(huge) }],
          rejections: { inventory: 1 },
          ordersRefunded: 1,
        },
      ],
    });
    await views.stop();
    reads.stop();
  });
});

test('a period is 1 to 366 real days in order', async () => {
  const shop = createShopWorld();
  await shop.world.run(async () => {
    const reads = createReadModels({ ...shop, settings: shop.settings });
    for (const [from, to] of [
      ['2026-01-02', '2026-01-01'],
      ['2026-02-30', '2026-03-01'],
      ['2024-01-01', '2026-01-01'],
      ['x', '2026-01-01'],
    ] as const) {
      await expect(reads.statistics({ from, to })).rejects.toThrow(InvalidPeriod);
    }
    expect(await reads.statistics({ from: '2026-01-01', to: '2026-01-01' })).toEqual({ days: [] });
  });
});
