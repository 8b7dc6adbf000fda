import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import type { NewOrderLine } from '../../../src/domain/order-lines.ts';
import { OrderCancelledSchema, OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const tea: NewOrderLine = { sku: 'TEA-1', name: 'Tea', quantity: 2, unitPriceMinor: 450n, currency: 'EUR' };
const cup: NewOrderLine = { sku: 'CUP-1', name: 'Cup', quantity: 3, unitPriceMinor: 999n, currency: 'EUR' };

const placed = create(OrderPlacedSchema, {
  orderId: 'o1',
  userId: 'u1',
  lines: [
    { sku: 'TEA-1', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n },
    { sku: 'CUP-1', name: 'Cup', quantity: 3n, unitPriceMinor: 999n, lineTotalMinor: 2997n },
  ],
  currency: 'EUR',
  totalMinor: 3897n,
  placedAt: AT_EVENT,
  paymentToken: 'tok_1',
  paymentDueAt: AT_EVENT + 900_000n,
});
const cancelled = create(OrderCancelledSchema, {
  reason: 'too late',
  cancelledAt: AT_EVENT,
  by: 'customer',
  userId: 'u1',
});

const payment = { paymentToken: 'tok_1', paymentDueAt: AT + 900_000 };
const place = (...lines: NewOrderLine[]) =>
  ({ type: 'place', orderId: 'o1', userId: 'u1', lines, ...payment, at: AT }) as const;
const cancel = { type: 'cancel', reason: 'too late', by: 'customer', at: AT } as const;
const manyLines = (count: number) => Array.from({ length: count }, (_, i) => ({ ...tea, sku: `TEA-${i}` }));

describe('placing an order', () => {
  test('records every line with its total and the sum of all', () => {
    given(order).when(place(tea, cup)).thenEvents(placed);
    expect(given(order, placed).state).toMatchObject({ status: 'placed', userId: 'u1' });
  });

  test('again with the same content changes nothing, also after it was cancelled', () => {
    given(order, placed).when(place(tea, cup)).thenNothing();
    given(order, placed, cancelled).when(place(tea, cup)).thenNothing();
  });

  test('again after a product was renamed, repriced or moved to another currency is still the same order', () => {
    given(order, placed)
      .when(place({ ...tea, name: 'Old tea', unitPriceMinor: 1n, currency: 'USD' }, cup))
      .thenNothing();
  });

  test.each([
    ['another quantity', place({ ...tea, quantity: 3 }, cup)],
    ['another product', place({ ...tea, sku: 'TEA-2' }, cup)],
    ['a line less', place(tea)],
    ['a line more', place(tea, cup, { ...cup, sku: 'CUP-2' })],
    ['another order of lines', place(cup, tea)],
    ['another way to pay', { ...place(tea, cup), paymentToken: 'tok_2' }],
    ['another user', { ...place(tea, cup), userId: 'u2' }],
  ] as const)('under an id that is taken is refused with %s', (_what, command) => {
    given(order, placed).when(command).thenRejected('order/exists');
  });

  test.each(['', 'two words', 'a\nb', 'ü', 'x'.repeat(201)])(
    'refuses the payment token %j',
    (paymentToken) => {
      given(order)
        .when({ ...place(tea), paymentToken })
        .thenRejected('order/invalid-payment');
    },
  );

  test.each(['', 'a.b', '*', 'two words', 'x'.repeat(129)])('refuses the user id %j', (userId) => {
    given(order)
      .when({ ...place(tea), userId })
      .thenRejected('order/invalid-user');
  });

  test('takes 1 to 100 lines', () => {
    given(order).when(place()).thenRejected('order/invalid-line-count', { lines: 0 });
    expect(order.decide(place(...manyLines(100)), order.initial)).toHaveLength(1);
    given(order)
      .when(place(...manyLines(101)))
      .thenRejected('order/invalid-line-count', { lines: 101 });
  });

  test.each([0, -1, 1.5, Number.NaN, 1_000_001])('refuses a quantity of %d', (quantity) => {
    given(order)
      .when(place(cup, { ...tea, quantity }))
      .thenRejected('order/invalid-quantity', { sku: 'TEA-1' });
  });

  test('takes a quantity of a million', () => {
    expect(order.decide(place({ ...tea, quantity: 1_000_000 }), order.initial)).toMatchObject([
      { totalMinor: 450_000_000n },
    ]);
  });

  test('refuses the same product on two lines', () => {
    given(order)
      .when(place(tea, cup, { ...tea, quantity: 1 }))
      .thenRejected('order/duplicate-sku', { sku: 'TEA-1' });
  });

  test('refuses lines in several currencies', () => {
    given(order)
      .when(place(tea, { ...cup, currency: 'USD' }))
      .thenRejected('order/mixed-currencies', { sku: 'CUP-1' });
  });

  test.each([{ sku: 'tea' }, { name: '' }, { unitPriceMinor: 0n }, { currency: 'XXX' }])(
    'refuses a looked-up line with %o',
    (wrong) => {
      given(order)
        .when(place(cup, { ...tea, ...wrong }))
        .thenRejected('order/invalid-line', { line: 2 });
    },
  );

  test('refuses a line or a total beyond the largest exact integer, and takes exactly that', () => {
    const max = BigInt(Number.MAX_SAFE_INTEGER);
    const dear = { ...tea, quantity: 1, unitPriceMinor: max };
    expect(order.decide(place(dear), order.initial)).toMatchObject([{ totalMinor: max }]);
    given(order)
      .when(place({ ...dear, quantity: 2 }))
      .thenRejected('order/total-too-large');
    given(order)
      .when(place(dear, { ...cup, quantity: 1, unitPriceMinor: 1n }))
      .thenRejected('order/total-too-large');
  });
});

describe('cancelling an order', () => {
  test('ends it', () => {
    given(order, placed).when(cancel).thenEvents(cancelled);
    expect(given(order, placed, cancelled).state).toMatchObject({ status: 'cancelled' });
  });

  test('again changes nothing, whatever the reason', () => {
    given(order, placed, cancelled)
      .when({ ...cancel, reason: 'other' })
      .thenNothing();
  });

  test('that was never placed is refused', () => {
    given(order).when(cancel).thenRejected('order/not-found');
  });

  test('with a reason that is too long or unprintable is refused', () => {
    given(order, placed)
      .when({ ...cancel, reason: 'x'.repeat(501) })
      .thenRejected('order/invalid-reason');
    given(order, placed)
      .when({ ...cancel, reason: 'a\nb' })
      .thenRejected('order/invalid-reason');
  });
});
