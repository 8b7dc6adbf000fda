import { create, type Message } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderDeliveredSchema,
  OrderPlacedSchema,
  OrderRejectedSchema,
  OrderShippedSchema,
  OrderStockReleasedSchema,
  OrderStockReservedSchema,
  PaymentAuthorisedSchema,
  PaymentCancelledSchema,
  PaymentCapturedSchema,
  PaymentRefundedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import {
  ProductListedSchema,
  StockReceivedSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockShippedSchema,
} from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import {
  UserCreatedSchema,
  UserDeactivatedSchema,
  UserReactivatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
} from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import type { EventContext, Projection } from '../../../src/projections/engine/projection.ts';
import { customers } from '../../../src/projections/views/customers.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { products } from '../../../src/projections/views/products.ts';

const at = Date.UTC(2030, 0, 2, 3, 4, 5);
const iso = '2030-01-02T03:04:05.000Z';

const contextAt = (position: number, projection: Projection = orders): EventContext => ({
  stream: { category: projection.sources[0]?.category ?? '', id: 'x1' },
  position: positionOf(position),
  time: at,
  commitId: `c${position}`,
  actor: 'test',
  traceparent: '',
});

/** The row after events of one aggregate at positions 10, 20, ... */
function rowAfter(projection: Projection, ...events: readonly Message[]): unknown {
  let row: unknown;
  events.forEach((event, i) => {
    const context = contextAt((i + 1) * 10, projection);
    if (projection.keyOf(event, context) !== undefined) row = projection.evolve(row, event, context);
  });
  return row;
}

const placed = create(OrderPlacedSchema, {
  orderId: 'x1',
  userId: 'u1',
  lines: [{ sku: 'TEA', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n }],
  currency: 'EUR',
  totalMinor: 900n,
  placedAt: BigInt(at),
  paymentDueAt: BigInt(at),
});
const validated = create(CustomerValidatedSchema);
const reserved = create(OrderStockReservedSchema);
const authorised = create(PaymentAuthorisedSchema, { paymentId: 'p1' });
const captured = create(PaymentCapturedSchema, { paymentId: 'p1' });
const confirmed = create(OrderConfirmedSchema);
const paid = [placed, validated, reserved, authorised, captured, confirmed];

describe('an order', () => {
  test('that was placed shows everything that is known of it', () => {
    expect(rowAfter(orders, placed)).toEqual({
      id: 'x1',
      userId: 'u1',
      status: 'placed',
      step: 'customer_validation',
      payment: { status: 'open', dueAt: iso },
      lines: [
        {
          sku: 'TEA',
          name: 'Tea',
          quantity: 2,
          unitPrice: { amountMinor: 450, currency: 'EUR' },
          lineTotal: { amountMinor: 900, currency: 'EUR' },
          unitPriceMinor: 450,
          lineTotalMinor: 900,
        },
      ],
      total: { amountMinor: 900, currency: 'EUR' },
      placedAt: iso,
      timeline: [{ type: 'OrderPlaced', at: iso }],
      version: 10,
    });
  });

  test('says of each thing that happened which trace it belongs to, where that is known', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const row = orders.evolve(undefined, placed, { ...contextAt(10), traceparent });
    expect(row?.timeline).toEqual([
      { type: 'OrderPlaced', at: iso, traceId: '0af7651916cd43dd8448eb211c80319c' },
    ]);
  });

  test('shows the step that it waits for, and none once it is confirmed', () => {
    expect(rowAfter(orders, placed, validated)).toMatchObject({ step: 'inventory' });
    expect(rowAfter(orders, placed, validated, reserved)).toMatchObject({ step: 'payment' });
    const row = rowAfter(orders, ...paid);
    expect(row).toMatchObject({ status: 'confirmed', payment: { status: 'captured', id: 'p1', dueAt: iso } });
    expect(row).not.toHaveProperty('step');
  });

  test.each([
    ['rejected before it was paid', [placed, create(OrderRejectedSchema, { step: 'inventory' })]],
    ['cancelled before it was paid', [placed, validated, create(OrderCancelledSchema)]],
  ])('that was %s waits for no payment', (_how, events) => {
    const row = rowAfter(orders, ...events);
    expect(row).toHaveProperty('payment', { status: 'cancelled' });
    expect(row).toHaveProperty('timeline.length', events.length);
  });

  test('that failed while it was paid shows no deadline, and the payment as it is until it is given back', () => {
    const rejected = create(OrderRejectedSchema, { step: 'payment' });
    const row = (...events: Parameters<typeof rowAfter>[1][]) =>
      rowAfter(orders, placed, validated, reserved, ...events);
    expect(row(rejected)).toHaveProperty('payment', { status: 'open' });
    expect(row(authorised, rejected)).toHaveProperty('payment', { status: 'authorised', id: 'p1' });
    expect(row(rejected, create(PaymentCancelledSchema))).toHaveProperty('payment', { status: 'cancelled' });
  });

  test('that was rejected shows where and why, and what became of its payment', () => {
    const rejected = create(OrderRejectedSchema, { step: 'payment', code: 'payment/x', reason: 'No money.' });
    const compensated = [create(PaymentCancelledSchema), create(OrderStockReleasedSchema)];
    const row = rowAfter(orders, placed, validated, reserved, authorised, rejected, ...compensated);
    expect(row).toMatchObject({
      status: 'rejected',
      step: 'payment',
      reason: { code: 'payment/x', text: 'No money.' },
      payment: { status: 'cancelled', id: 'p1' },
      version: 70,
    });
    expect(row).toHaveProperty('timeline.length', 7);
  });

  test.each([
    ['', 'cancelled/customer'],
    ['customer', 'cancelled/customer'],
    ['customer-deactivated', 'cancelled/customer-deactivated'],
  ])('that was cancelled by %j says so', (by, code) => {
    const cancelled = create(OrderCancelledSchema, { reason: 'Why not', by });
    const row = rowAfter(orders, ...paid, cancelled, create(PaymentRefundedSchema, { paymentId: 'p1' }));
    expect(row).toMatchObject({
      status: 'cancelled',
      reason: { code, text: 'Why not' },
      payment: { status: 'refunded' },
    });
  });

  test('that was shipped shows its tracking number, where there is one', () => {
    const shipped = create(OrderShippedSchema, { tracking: 'T-1' });
    const delivered = create(OrderDeliveredSchema);
    expect(rowAfter(orders, ...paid, shipped)).toMatchObject({ status: 'shipped', tracking: 'T-1' });
    expect(rowAfter(orders, ...paid, shipped, delivered)).toMatchObject({
      status: 'delivered',
      tracking: 'T-1',
    });
    expect(rowAfter(orders, ...paid, create(OrderShippedSchema))).not.toHaveProperty('tracking');
  });
});

test('a product shows what is on hand, reserved and available', () => {
  const listed = create(ProductListedSchema, { name: 'Tea', priceMinor: 450n, currency: 'EUR' });
  const received = create(StockReceivedSchema, { quantity: 5n, onHand: 5n });
  const held = create(StockReservedSchema, { orderId: 'o1', quantity: 3n, reserved: 3n });
  const released = create(StockReleasedSchema, { orderId: 'o1', quantity: 3n, reserved: 0n });
  const shipped = create(StockShippedSchema, { orderId: 'o1', quantity: 3n, onHand: 2n, reserved: 0n });
  const stock = (onHand: number, taken: number) => ({ onHand, reserved: taken, available: onHand - taken });
  expect(rowAfter(products, listed)).toMatchObject(stock(0, 0));
  expect(rowAfter(products, listed, received, held)).toMatchObject(stock(5, 3));
  expect(rowAfter(products, listed, received, held, received)).toMatchObject(stock(5, 3));
  expect(rowAfter(products, listed, received, held, released)).toMatchObject(stock(5, 0));
  expect(rowAfter(products, listed, received, held, shipped)).toMatchObject({ ...stock(2, 0), version: 40 });
});

test('the customer directory knows who may order, and no more', () => {
  const created = create(UserCreatedSchema, { userId: 'x1', email: 'ada@example.org', name: 'Ada' });
  const off = create(UserDeactivatedSchema);
  expect(rowAfter(customers, created)).toEqual({ status: 'active' });
  expect(rowAfter(customers, created, off)).toEqual({ status: 'deactivated' });
  expect(rowAfter(customers, created, off, create(UserReactivatedSchema))).toEqual({ status: 'active' });
  expect(rowAfter(customers, created, create(UserRenamedSchema, { name: 'A.' }))).toEqual({
    status: 'active',
  });
  expect(rowAfter(customers, create(UserRegistrationAbandonedSchema))).toBeUndefined();
});
