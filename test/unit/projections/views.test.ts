import { create, type Message } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import {
  MetadataSchema,
  OrderCancelledSchema,
  type OrderPlaced,
  OrderPlacedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
  StockCorrectedSchema,
  StockReceivedSchema,
} from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import {
  EmailChangedSchema,
  EmailChangeStartedSchema,
  UserCreatedSchema,
  UserDeactivatedSchema,
  UserForgottenSchema,
  UserReactivatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
} from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import type { EventContext, Projection } from '../../../src/projections/engine/projection.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { ordersByUser } from '../../../src/projections/views/orders-by-user.ts';
import { products } from '../../../src/projections/views/products.ts';
import { users } from '../../../src/projections/views/users.ts';

const at = Date.UTC(2030, 0, 2, 3, 4, 5);
const time = BigInt(at);
const iso = '2030-01-02T03:04:05.000Z';

/** The row after events of one aggregate at positions 10, 20, ... */
function rowAfter(projection: Projection, id: string, ...events: readonly Message[]): unknown {
  const [source] = projection.sources;
  let row: unknown;
  events.forEach((event, i) => {
    const context: EventContext = {
      stream: { category: source?.category ?? '', id },
      position: positionOf((i + 1) * 10),
      time: at,
      commitId: `c${i}`,
      actor: 'test',
      traceparent: '',
    };
    if (projection.keyOf(event, context) !== undefined) row = projection.evolve(row, event, context);
  });
  return row;
}

const created = create(UserCreatedSchema, {
  userId: 'u1',
  email: 'ada@example.org',
  name: 'Ada',
  createdAt: time,
});

test('a created user is shown as active with its version', () => {
  expect(rowAfter(users, 'u1', created)).toEqual({
    id: 'u1',
    name: 'Ada',
    email: 'ada@example.org',
    status: 'active',
    createdAt: iso,
    version: 10,
  });
});

test('a pending change of address shows only in the version, a completed one in the address', () => {
  const started = create(EmailChangeStartedSchema, { attempt: 'a1', email: 'new@example.org' });
  const changed = create(EmailChangedSchema, { attempt: 'a1', email: 'new@example.org' });
  expect(rowAfter(users, 'u1', created, started)).toMatchObject({ email: 'ada@example.org', version: 20 });
  expect(rowAfter(users, 'u1', created, started, changed)).toMatchObject({
    email: 'new@example.org',
    version: 30,
  });
});

test('a user can be renamed, deactivated and reactivated', () => {
  const renamed = create(UserRenamedSchema, { name: 'Ada L.' });
  const off = create(UserDeactivatedSchema, { reason: 'left' });
  expect(rowAfter(users, 'u1', created, renamed, off)).toMatchObject({
    name: 'Ada L.',
    status: 'deactivated',
  });
  const on = create(UserReactivatedSchema);
  expect(rowAfter(users, 'u1', created, off, on)).toMatchObject({ status: 'active', version: 30 });
});

test('a person who was forgotten stays as a row without name and address', () => {
  expect(rowAfter(users, 'u1', created, create(UserForgottenSchema))).toMatchObject({
    id: 'u1',
    name: 'forgotten',
    email: 'forgotten',
    status: 'forgotten',
    version: 20,
  });
});

test('a registration that was given up leaves no row', () => {
  expect(rowAfter(users, 'u1', create(UserRegistrationAbandonedSchema, { userId: 'u1' }))).toBeUndefined();
});

const listed = create(ProductListedSchema, { sku: 'TEA-1', name: 'Tea', priceMinor: 450n, currency: 'EUR' });

test('a product shows its latest name, price, stock and status', () => {
  expect(rowAfter(products, 'TEA-1', listed)).toMatchObject({
    sku: 'TEA-1',
    name: 'Tea',
    price: { amountMinor: 450, currency: 'EUR' },
    onHand: 0,
    status: 'listed',
    version: 10,
  });
  const changes = [
    create(ProductRenamedSchema, { name: 'Green tea' }),
    create(ProductPriceChangedSchema, { priceMinor: 500n, previousPriceMinor: 450n, currency: 'EUR' }),
    create(StockReceivedSchema, { receiptId: 'r1', quantity: 5n, onHand: 5n }),
    create(StockCorrectedSchema, { correctionId: 'c1', kind: 'loss', quantity: 1n, change: -1n, onHand: 4n }),
    create(ProductDiscontinuedSchema),
  ];
  expect(rowAfter(products, 'TEA-1', listed, ...changes)).toMatchObject({
    sku: 'TEA-1',
    name: 'Green tea',
    price: { amountMinor: 500, currency: 'EUR' },
    onHand: 4,
    status: 'discontinued',
    version: 60,
  });
});

test('an amount that JSON cannot hold exactly is refused, not rounded', () => {
  const huge = create(ProductListedSchema, { sku: 'X', name: 'X', priceMinor: 2n ** 53n, currency: 'EUR' });
  expect(() => rowAfter(products, 'X', huge)).toThrow(RangeError);
});

const line = { sku: 'TEA-1', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n };
const placed = create(OrderPlacedSchema, {
  orderId: 'o1',
  userId: 'u1',
  lines: [line],
  currency: 'EUR',
  totalMinor: 900n,
  placedAt: time,
});

test('an order shows its lines, total and, when cancelled, when and why', () => {
  const row = {
    id: 'o1',
    userId: 'u1',
    status: 'placed',
    lines: [{ sku: 'TEA-1', name: 'Tea', quantity: 2, lineTotal: { amountMinor: 900, currency: 'EUR' } }],
    total: { amountMinor: 900, currency: 'EUR' },
    placedAt: iso,
    version: 10,
  };
  expect(rowAfter(orders, 'o1', placed)).toMatchObject(row);
  const cancelled = create(OrderCancelledSchema, { reason: 'changed my mind', cancelledAt: time });
  const reason = { code: 'cancelled/customer', text: 'changed my mind' };
  const after = { status: 'cancelled', reason, version: 20 };
  expect(rowAfter(orders, 'o1', placed, cancelled)).toMatchObject({ ...row, ...after });
});

test('an order shows what the client said of it, and nothing of what it did not say', () => {
  const said: OrderPlaced = {
    ...placed,
    externalReference: 'PO 42',
    deliveryName: 'Ada',
    deliveryStreet: 'St 1',
    deliveryCity: 'London',
    deliveryCountry: 'GB',
    metadata: create(MetadataSchema, { pairs: [{ key: 'channel', value: 'web' }] }),
  };
  expect(rowAfter(orders, 'o1', said)).toMatchObject({
    externalReference: 'PO 42',
    deliveryAddress: { name: 'Ada', street: 'St 1', city: 'London', country: 'GB' },
    metadata: { channel: 'web' },
  });
  for (const name of ['externalReference', 'deliveryAddress', 'metadata']) {
    expect(rowAfter(orders, 'o1', placed)).not.toHaveProperty(name);
  }
});

test('a user’s list holds each placed order once, and a cancelled one still', () => {
  const cancelled = create(OrderCancelledSchema, { reason: 'no', cancelledAt: time });
  expect(rowAfter(ordersByUser, 'o1', placed, cancelled)).toEqual({
    pages: 0,
    size: 50,
    entries: [{ orderId: 'o1' }],
  });
});
