import { create } from '@bufbuild/protobuf';
import { describe, test } from 'vitest';
import type { OrderEvent } from '../../../../src/domain/order.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderDeliveredSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
  OrderRejectedSchema,
  OrderShippedSchema,
  OrderStockReleasedSchema,
  OrderStockReservedSchema,
  PaymentAuthorisedSchema,
  PaymentCancelledSchema,
  PaymentCapturedSchema,
  PaymentRefundedSchema,
} from '../../../../src/gen/jetledger/order/v1/order_pb.ts';
import type { StandardEffect } from '../../../../src/processes/engine/process.ts';
import { type OrderEffect, orderFlow } from '../../../../src/processes/order/react.ts';
import { givenProcess } from '../../../../src/testing/given-process.ts';

const DUE = 1_900_000_900_000;
const items = [
  { sku: 'TEA', quantity: 2 },
  { sku: 'CUP', quantity: 1 },
];
const placed = create(OrderPlacedSchema, {
  orderId: 'o1',
  userId: 'u1',
  lines: items.map(({ sku, quantity }) => ({ sku, quantity: BigInt(quantity) })),
  currency: 'EUR',
  totalMinor: 900n,
  paymentToken: 'tok_1',
  paymentDueAt: BigInt(DUE),
});
const validated = create(CustomerValidatedSchema);
const reserved = create(OrderStockReservedSchema);
const authorised = create(PaymentAuthorisedSchema, { paymentId: 'p1' });
const captured = create(PaymentCapturedSchema, { paymentId: 'p1' });
const confirmed = create(OrderConfirmedSchema);
const rejected = create(OrderRejectedSchema, { step: 'payment', code: 'a/b', reason: 'Because.' });
const cancelled = create(OrderCancelledSchema);
const released = create(OrderStockReleasedSchema);
const returned = create(PaymentCancelledSchema);
const refunded = create(PaymentRefundedSchema);
const shipped = create(OrderShippedSchema);
const delivered = create(OrderDeliveredSchema);
const granted = (restock: boolean) => create(OrderRefundGrantedSchema, { restock });
const paid = [placed, validated, reserved, authorised, captured, confirmed] as const;

const arm: StandardEffect = { type: 'arm', timer: 'payment-deadline', at: DUE };
const disarm: StandardEffect = { type: 'disarm', timer: 'payment-deadline' };
/** By SKU, whatever the order of the lines. */
const bySku = items.toReversed();
const reserve = { type: 'reserve-stock', items: bySku } as const;
const validate: OrderEffect = { type: 'validate-customer', userId: 'u1', next: reserve };
const authorise: OrderEffect = {
  type: 'authorise-payment',
  amountMinor: 900n,
  currency: 'EUR',
  token: 'tok_1',
};
const capture: OrderEffect = { type: 'capture-payment' };
const release: OrderEffect = { type: 'release-stock', items: bySku };
const giveBack: OrderEffect = { type: 'return-payment' };
const ship: OrderEffect = { type: 'ship-stock', items: bySku };
const notify = (kind: Extract<OrderEffect, { type: 'notify' }>['kind']): OrderEffect => ({
  type: 'notify',
  kind,
});

const given = (...history: OrderEvent[]) => givenProcess(orderFlow, ...history);

describe('the way to the confirmation', () => {
  test('each event leads to the next step', () => {
    given(placed).when(placed).thenEffects(arm, validate);
    given(placed, validated, reserved).when(validated).thenEffects();
    given(placed, validated, reserved).when(reserved).thenEffects(authorise);
    given(placed, validated, reserved, authorised).when(authorised).thenEffects(capture);
    given(...paid)
      .when(captured)
      .thenEffects();
    given(...paid)
      .when(confirmed)
      .thenEffects(disarm, notify('order-confirmed'));
  });

  test('an order of the release before, which validated in a commit of its own, goes on from there', () => {
    given(placed, validated).when(validated).thenEffects(reserve);
  });

  test('a step that was done meanwhile is not done again', () => {
    given(placed, validated).when(placed).thenEffects(arm);
    given(placed, validated, reserved, authorised).when(reserved).thenEffects();
    given(...paid)
      .when(authorised)
      .thenEffects();
  });

  test.each([
    ['rejected', rejected],
    ['cancelled', cancelled],
  ] as const)('no step is begun for an order that is %s by now', (_status, end) => {
    given(placed, end).when(placed).thenEffects();
    given(placed, validated, end).when(validated).thenEffects();
    given(placed, validated, reserved, end).when(reserved).thenEffects();
    given(placed, validated, reserved, authorised, end).when(authorised).thenEffects();
  });

  test('nothing comes of an event whose order is not there', () => {
    given().when(placed).thenEffects();
  });
});

describe('the way back', () => {
  test('releases stock from the first moment on, since reservations may be under way', () => {
    given(placed, rejected).when(rejected).thenEffects(release, disarm, notify('order-rejected'));
    given(placed, cancelled).when(cancelled).thenEffects(release, disarm);
    given(placed, validated, rejected).when(rejected).thenEffects(release, disarm, notify('order-rejected'));
    given(placed, validated, cancelled).when(cancelled).thenEffects(release, disarm);
  });

  test('returns the payment as soon as one may be under way, before anything else', () => {
    given(placed, validated, reserved, rejected)
      .when(rejected)
      .thenEffects(giveBack, release, disarm, notify('order-rejected'));
    given(...paid, cancelled)
      .when(cancelled)
      .thenEffects(giveBack, release, disarm);
  });

  test('does only what is still open', () => {
    given(...paid, cancelled, released)
      .when(cancelled)
      .thenEffects(giveBack, disarm);
    given(...paid, cancelled, refunded)
      .when(cancelled)
      .thenEffects(release, disarm);
    given(placed, validated, reserved, rejected, returned, released)
      .when(rejected)
      .thenEffects(disarm, notify('order-rejected'));
  });

  test('is not begun again by its own events', () => {
    for (const event of [released, returned, refunded]) {
      given(...paid, cancelled)
        .when(event)
        .thenEffects();
    }
  });

  test('tells nobody of a confirmation that was cancelled meanwhile', () => {
    given(...paid, cancelled)
      .when(confirmed)
      .thenEffects(disarm);
  });
});

describe('the later life', () => {
  test('shipping takes the stock out and tells the customer, also when it was delivered by now', () => {
    given(...paid, shipped)
      .when(shipped)
      .thenEffects(ship, notify('order-shipped'));
    given(...paid, shipped, delivered)
      .when(shipped)
      .thenEffects(ship, notify('order-shipped'));
  });

  test('nothing comes of a delivery', () => {
    given(...paid, shipped, delivered)
      .when(delivered)
      .thenEffects();
  });
});

describe('a refund', () => {
  const repay: OrderEffect = { type: 'refund-payment' };
  const takeBack: OrderEffect = { type: 'return-stock', items: bySku };
  const writeOff: OrderEffect = { type: 'write-off-stock', items: bySku };

  test.each([
    ['a confirmed order whose goods stay', paid, true, release],
    ['a confirmed order whose goods are gone', paid, false, writeOff],
    ['a shipped order whose goods come back', [...paid, shipped], true, takeBack],
    ['a delivered order whose goods come back', [...paid, shipped, delivered], true, takeBack],
    ['a shipped order whose goods are gone', [...paid, shipped], false, writeOff],
  ] as const)('of %s gives the money back, then settles the stock', (_what, history, restock, settle) => {
    given(...history, granted(restock))
      .when(granted(restock))
      .thenEffects(repay, settle, disarm);
  });

  test('does only what is still open', () => {
    given(...paid, granted(true), refunded)
      .when(granted(true))
      .thenEffects(release, disarm);
    given(...paid, granted(true), released)
      .when(granted(true))
      .thenEffects(repay, disarm);
  });

  test('is told to the customer once the provider has given the money back', () => {
    given(...paid, granted(true), refunded)
      .when(refunded)
      .thenEffects(notify('order-refunded'));
    given(...paid, granted(true), released)
      .when(released)
      .thenEffects();
  });

  test('leaves out the news of a confirmation that it overtook', () => {
    given(...paid, granted(true))
      .when(confirmed)
      .thenEffects(disarm);
  });
});
