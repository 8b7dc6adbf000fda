import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { product } from '../../../src/domain/product.ts';
import {
  ENDED_GENERATION,
  endReservation,
  isEnded,
  noReservations,
} from '../../../src/domain/reservations.ts';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  StockCorrectedSchema,
  StockReceivedSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockReturnedSchema,
  StockShippedSchema,
} from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const stocked = [
  create(ProductListedSchema, { sku: 'TEA-1', name: 'Tea', priceMinor: 450n, currency: 'EUR' }),
  create(StockReceivedSchema, { receiptId: 'r1', quantity: 10n, onHand: 10n }),
] as const;
const discontinued = create(ProductDiscontinuedSchema, { discontinuedAt: AT_EVENT });
const reserved = (orderId: string, quantity: bigint, total: bigint) =>
  create(StockReservedSchema, { orderId, quantity, reserved: total, reservedAt: AT_EVENT });
const released = (orderId: string, quantity: bigint, total: bigint) =>
  create(StockReleasedSchema, { orderId, quantity, reserved: total, releasedAt: AT_EVENT });
const shipped = (orderId: string, quantity: bigint, onHand: bigint, total: bigint) =>
  create(StockShippedSchema, { orderId, quantity, onHand, reserved: total, shippedAt: AT_EVENT });

const reserve = (orderId: string, quantity: number) =>
  ({ type: 'reserveStock', orderId, quantity, at: AT }) as const;
const release = (orderId: string) => ({ type: 'releaseStock', orderId, at: AT }) as const;
const ship = (orderId: string) => ({ type: 'shipStock', orderId, at: AT }) as const;

describe('reserving stock', () => {
  test('promises what is on hand and not promised yet', () => {
    given(product, ...stocked)
      .when(reserve('o1', 4))
      .thenEvents(reserved('o1', 4n, 4n));
    given(product, ...stocked, reserved('o1', 4n, 4n))
      .when(reserve('o2', 6))
      .thenEvents(reserved('o2', 6n, 10n));
  });

  test('beyond what is available is refused, however much is on hand', () => {
    given(product, ...stocked, reserved('o1', 4n, 4n))
      .when(reserve('o2', 7))
      .thenRejected('product/insufficient-stock', { available: 6 });
  });

  test('again for the same order changes nothing, also when discontinued or with nothing left', () => {
    const all = [...stocked, reserved('o1', 10n, 10n)] as const;
    given(product, ...all)
      .when(reserve('o1', 10))
      .thenNothing();
    given(product, ...all, discontinued)
      .when(reserve('o1', 10))
      .thenNothing();
  });

  test('another quantity for the same order is refused', () => {
    given(product, ...stocked, reserved('o1', 4n, 4n))
      .when(reserve('o1', 5))
      .thenRejected('product/reservation-conflict', { quantity: 4 });
  });

  test('for an order whose reservation was released or shipped is refused', () => {
    given(product, ...stocked, reserved('o1', 4n, 4n), released('o1', 4n, 0n))
      .when(reserve('o1', 4))
      .thenRejected('product/reservation-released');
    given(product, ...stocked, reserved('o1', 4n, 4n), shipped('o1', 4n, 6n, 0n))
      .when(reserve('o1', 4))
      .thenRejected('product/reservation-released');
  });

  test('for an order that was barred before it came is refused', () => {
    given(product, ...stocked, released('o1', 0n, 0n))
      .when(reserve('o1', 4))
      .thenRejected('product/reservation-released');
  });

  test('of a discontinued or unknown product is refused', () => {
    given(product, ...stocked, discontinued)
      .when(reserve('o1', 1))
      .thenRejected('product/discontinued');
    given(product).when(reserve('o1', 1)).thenRejected('product/not-found');
  });

  test.each([0, -1, 1.5, Number.NaN, 1_000_000_001])('refuses %d pieces', (quantity) => {
    given(product, ...stocked)
      .when(reserve('o1', quantity))
      .thenRejected('product/invalid-quantity');
  });
});

describe('releasing stock', () => {
  test('gives back what was reserved, once', () => {
    const history = [...stocked, reserved('o1', 4n, 4n), reserved('o2', 1n, 5n)] as const;
    given(product, ...history)
      .when(release('o1'))
      .thenEvents(released('o1', 4n, 1n));
    given(product, ...history, released('o1', 4n, 1n))
      .when(release('o1'))
      .thenNothing();
  });

  test('bars an order for which nothing is reserved, once', () => {
    given(product, ...stocked)
      .when(release('o1'))
      .thenEvents(released('o1', 0n, 0n));
    given(product, ...stocked, released('o1', 0n, 0n))
      .when(release('o1'))
      .thenNothing();
  });

  test('works on a discontinued product', () => {
    given(product, ...stocked, reserved('o1', 4n, 4n), discontinued)
      .when(release('o1'))
      .thenEvents(released('o1', 4n, 0n));
  });
});

describe('shipping stock', () => {
  test('takes what was reserved out of the warehouse, once', () => {
    const history = [...stocked, reserved('o1', 4n, 4n)] as const;
    given(product, ...history)
      .when(ship('o1'))
      .thenEvents(shipped('o1', 4n, 6n, 0n));
    given(product, ...history, shipped('o1', 4n, 6n, 0n))
      .when(ship('o1'))
      .thenNothing();
    expect(given(product, ...history, shipped('o1', 4n, 6n, 0n)).state).toMatchObject({
      onHand: 6n,
      reserved: 0n,
    });
  });

  test('where nothing is reserved changes nothing', () => {
    given(product, ...stocked)
      .when(ship('o1'))
      .thenNothing();
  });
});

describe('returning stock', () => {
  const takeBack = (orderId: string, quantity: number) =>
    ({ type: 'returnStock', orderId, quantity, at: AT }) as const;
  const returned = (orderId: string, quantity: bigint, onHand: bigint) =>
    create(StockReturnedSchema, { orderId, quantity, onHand, returnedAt: AT_EVENT });
  const gone = [...stocked, reserved('o1', 4n, 4n), shipped('o1', 4n, 6n, 0n)] as const;

  test('puts what was shipped for an order on hand again, once, also when discontinued', () => {
    given(product, ...gone)
      .when(takeBack('o1', 4))
      .thenEvents(returned('o1', 4n, 10n));
    given(product, ...gone, returned('o1', 4n, 10n))
      .when(takeBack('o1', 4))
      .thenNothing();
    given(product, ...gone, discontinued)
      .when(takeBack('o1', 4))
      .thenEvents(returned('o1', 4n, 10n));
  });

  test('comes to the same before the shipping as after it', () => {
    const early = [...stocked, reserved('o1', 4n, 4n), returned('o1', 4n, 14n)] as const;
    given(product, ...early)
      .when(ship('o1'))
      .thenEvents(shipped('o1', 4n, 10n, 0n));
  });
});

describe('correcting stock', () => {
  const correct = (
    kind: 'count' | 'loss',
    quantity: number,
    more: { correctionId?: string; reason?: string } = {},
  ) =>
    ({
      type: 'correctStock',
      correctionId: 'c1',
      reason: 'Stocktaking',
      kind,
      quantity,
      at: AT,
      ...more,
    }) as const;
  const corrected = (kind: string, quantity: bigint, change: bigint, onHand: bigint) =>
    create(StockCorrectedSchema, {
      correctionId: 'c1',
      kind,
      quantity,
      change,
      onHand,
      reason: 'Stocktaking',
      correctedAt: AT_EVENT,
    });

  test('a count says what is on hand, a loss takes away', () => {
    given(product, ...stocked)
      .when(correct('count', 12))
      .thenEvents(corrected('count', 12n, 2n, 12n));
    given(product, ...stocked)
      .when(correct('loss', 3))
      .thenEvents(corrected('loss', 3n, -3n, 7n));
    expect(given(product, ...stocked, corrected('loss', 3n, -3n, 7n)).state).toMatchObject({ onHand: 7n });
  });

  test('a count that finds what is there is told all the same, and may find nothing', () => {
    given(product, ...stocked)
      .when(correct('count', 10))
      .thenEvents(corrected('count', 10n, 0n, 10n));
    given(product, ...stocked)
      .when(correct('count', 0))
      .thenEvents(corrected('count', 0n, -10n, 0n));
  });

  test('never goes below what is reserved', () => {
    const promised = [...stocked, reserved('o1', 4n, 4n)] as const;
    given(product, ...promised)
      .when(correct('loss', 6))
      .thenEvents(corrected('loss', 6n, -6n, 4n));
    given(product, ...promised)
      .when(correct('loss', 7))
      .thenRejected('product/below-reserved', { reserved: 4 });
    given(product, ...promised)
      .when(correct('count', 3))
      .thenRejected('product/below-reserved', { reserved: 4 });
    given(product, ...stocked)
      .when(correct('loss', 11))
      .thenRejected('product/below-reserved', { reserved: 0 });
  });

  test('says what to do: a loss of more than is there is counted, one of what is promised is not', () => {
    const messageOf = (quantity: number): string => {
      const { state } = given(product, ...stocked, reserved('o1', 4n, 4n));
      const outcome = product.decide(correct('loss', quantity), state);
      return 'message' in outcome ? outcome.message : '';
    };
    expect(messageOf(11)).toContain('count them');
    expect(messageOf(7)).toContain('promised to orders');
  });

  test('the same again changes nothing, whatever happened meanwhile; another one under its id is refused', () => {
    const history = [...stocked, corrected('count', 8n, -2n, 8n), reserved('o1', 8n, 8n)] as const;
    given(product, ...history)
      .when(correct('count', 8))
      .thenNothing();
    given(product, ...history)
      .when(correct('loss', 8))
      .thenRejected('product/correction-conflict');
  });

  test('is possible when discontinued, and not of an unknown product', () => {
    given(product, ...stocked, discontinued)
      .when(correct('loss', 10))
      .thenEvents(corrected('loss', 10n, -10n, 0n));
    given(product).when(correct('loss', 1)).thenRejected('product/not-found');
  });

  test.each([
    ['product/invalid-quantity', correct('loss', 0)],
    ['product/invalid-quantity', correct('count', -1)],
    ['product/invalid-quantity', correct('count', 2 ** 53)],
    ['product/invalid-correction', correct('loss', 1, { correctionId: 'a b' })],
    ['product/invalid-reason', correct('loss', 1, { reason: ' ' })],
    ['product/invalid-reason', correct('loss', 1, { reason: 'x'.repeat(501) })],
  ] as const)('%s: what cannot be booked is refused', (code, command) => {
    given(product, ...stocked)
      .when(command)
      .thenRejected(code);
  });
});

describe('the memory of ended reservations', () => {
  const end = (from: number, count: number, start = noReservations) => {
    let reservations = start;
    for (let i = from; i < from + count; i++) reservations = endReservation(reservations, `o${i}`);
    return reservations;
  };

  test('holds at least the last generation and never more than two', () => {
    const many = end(0, 5 * ENDED_GENERATION + 1);
    const remembered = Array.from({ length: 5 * ENDED_GENERATION + 1 }, (_, i) => isEnded(many, `o${i}`));
    const count = remembered.filter(Boolean).length;
    expect(count).toBeGreaterThan(ENDED_GENERATION);
    expect(count).toBeLessThanOrEqual(2 * ENDED_GENERATION);
    expect(remembered.slice(-ENDED_GENERATION).every(Boolean)).toBe(true);
  });

  test('counts an order once that ends again', () => {
    const once = end(0, 10);
    expect(end(0, 10, once)).toEqual(once);
  });
});
