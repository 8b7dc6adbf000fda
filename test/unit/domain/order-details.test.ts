import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import { detailsOf, type OrderDetails } from '../../../src/domain/order-details.ts';
import { type OrderPlaced, OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { AT, given } from './spec.ts';

const deliveryAddress = {
  name: 'Ada Lovelace',
  street: "12 St James's Square",
  postalCode: 'SW1Y 4JH',
  city: 'London',
  country: 'GB',
};
const all: OrderDetails = {
  externalReference: 'PO 2026/42',
  deliveryAddress,
  metadata: { channel: 'web', 'gift.wrap': 'yes' },
};
const tea = { sku: 'TEA-1', name: 'Tea', quantity: 2, unitPriceMinor: 450n, currency: 'EUR' };
const payment = { paymentToken: 'tok_1', paymentDueAt: AT + 900_000 };
const place = (details: OrderDetails) =>
  ({ type: 'place', orderId: 'o1', userId: 'u1', lines: [tea], ...payment, details, at: AT }) as const;

function placedWith(details: OrderDetails): OrderPlaced {
  const outcome = order.decide(place(details), order.initial);
  const [placed] = 'code' in outcome ? [] : outcome;
  if (placed?.$typeName !== 'jetledger.order.v1.OrderPlaced') throw new Error('nothing was placed');
  return placed;
}

describe('what a client says of its order', () => {
  test.each([
    ['all of it', all],
    ['nothing', {}],
    ['a reference only', { externalReference: 'x' }],
    ['an address without a postal code', { deliveryAddress: { ...deliveryAddress, postalCode: undefined } }],
  ] as const)('is kept: %s', (_what, said) => {
    const details = JSON.parse(JSON.stringify(said)) as OrderDetails;
    const placed = placedWith(details);
    expect(detailsOf(placed)).toEqual(details);
    expect(given(order, placed).state).toMatchObject({ details });
  });

  test('of an order that was stored before there were details is nothing', () => {
    expect(detailsOf(create(OrderPlacedSchema, { orderId: 'o1' }))).toEqual({});
  });

  test('is stored like names are, metadata by its keys', () => {
    const placed = placedWith({ externalReference: ' e\u0301 ', metadata: { b: ' 2', a: '1' } });
    expect(detailsOf(placed)).toEqual({ externalReference: '\u00e9', metadata: { a: '1', b: '2' } });
    expect(placed.metadata?.pairs.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('is part of the order: the same id with something else is refused', () => {
    const placed = placedWith(all);
    given(order, placed)
      .when(place({ ...all, metadata: { 'gift.wrap': 'yes', channel: 'web' } }))
      .thenNothing();
    for (const other of [
      {},
      { ...all, externalReference: 'PO 2026/43' },
      { ...all, deliveryAddress: { ...deliveryAddress, city: 'Leeds' } },
      { ...all, metadata: { channel: 'web' } },
      { ...all, externalReference: '' },
    ]) {
      given(order, placed).when(place(other)).thenRejected('order/exists');
    }
  });

  const pairs = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']));
  test('has bounds', () => {
    expect(detailsOf(placedWith({ metadata: pairs(20) })).metadata).toEqual(pairs(20));
    for (const metadata of [
      pairs(21),
      { '': 'v' },
      { '1': 'v' },
      { 'a b': 'v' },
      { ['k'.repeat(41)]: 'v' },
      { k: '' },
      { k: 'two\nlines' },
      { k: 'x'.repeat(201) },
    ] as Record<string, string>[]) {
      given(order).when(place({ metadata })).thenRejected('order/invalid-metadata');
    }
    for (const externalReference of ['', ' ', 'a\u0000', 'x'.repeat(101)]) {
      given(order).when(place({ externalReference })).thenRejected('order/invalid-reference');
    }
  });

  test.each([
    ['name', ''],
    ['street', 'a\nb'],
    ['postalCode', 'x'.repeat(21)],
    ['city', '\ud800'],
    ['country', 'uk'],
    ['country', 'GBR'],
  ] as const)('is refused with the name of the part of the address that is wrong: %s', (field, value) => {
    given(order)
      .when(place({ deliveryAddress: { ...deliveryAddress, [field]: value } }))
      .thenRejected('order/invalid-address', { field });
  });
});
