import { describe, expect, it } from 'vitest';
import { BY_HAND, compareShipments, type Parcel, type Shipment } from '../../soak/shipments.ts';

const parcel = (status: Parcel['status'], ...shipped: string[]): Parcel => ({ status, shipped });
const refusal = (code: string, consumer = 'ship-orders') => {
  const message = `The shop refuses to ship o: 409 {"code":"${code}"}`;
  return { consumer, error: { name: 'GiveUp', message, stack: '' } };
};
const shipment = (events: readonly string[], ...deadLetters: Shipment['deadLetters']): Shipment => ({
  events,
  deadLetters,
});
const opened = ['ShipmentOpened'];
const closed = ['ShipmentOpened', 'ShipmentClosed'];
const compare = (one: Parcel | undefined, other: Shipment | undefined) =>
  compareShipments(new Map(one && [['o', one]]), new Map(other && [['o', other]]));

describe('the soak compares each order that was confirmed with its shipment', () => {
  it.each([
    ['shipped', parcel('shipped', ''), shipment(closed)],
    ['shipped', parcel('refunded', ''), shipment(closed)],
    ['shippedByHand', parcel('shipped', BY_HAND), shipment(closed)],
    ['refused', parcel('cancelled'), shipment(opened, refusal('order/not-confirmed'))],
    ['refused', parcel('refunded'), shipment(opened, refusal('order/already-refunded'))],
    ['refused', parcel('refunded', BY_HAND), shipment(opened, refusal('order/already-refunded'))],
  ] as const)('and counts what fits as %s', (end, one, other) => {
    const counts = { shipped: 0, shippedByHand: 0, refused: 0, [end]: 1 };
    expect(compare(one, other)).toEqual({ opened: 1, ...counts, violations: [] });
  });

  it.each([
    ['no shipment', parcel('confirmed'), undefined],
    ['a shipment that was opened twice', parcel('shipped', ''), shipment([...opened, ...closed])],
    ['one that is not closed', parcel('shipped', ''), shipment(opened)],
    ['one that is closed twice', parcel('shipped', ''), shipment([...closed, 'ShipmentClosed'])],
    ['one that is closed and was never shipped', parcel('confirmed'), shipment(closed)],
    ['an order that was shipped twice', parcel('shipped', '', ''), shipment(closed)],
    ['a shipment of an order that was never confirmed', undefined, shipment(closed)],
    [
      'a refusal of what it has shipped',
      parcel('shipped', ''),
      shipment(opened, refusal('order/not-confirmed')),
    ],
    ['another refusal', parcel('cancelled'), shipment(opened, refusal('order/already-refunded'))],
    ['a refusal beside its end', parcel('shipped', ''), shipment(closed, refusal('order/not-confirmed'))],
    [
      'a dead letter of another consumer',
      parcel('cancelled'),
      shipment(opened, refusal('order/not-confirmed', 'confirmed-orders')),
    ],
    ['a dead letter without a shipment', parcel('cancelled'), shipment([], refusal('order/not-confirmed'))],
  ] as const)('and finds %s', (_, one, other) => {
    expect(compare(one, other).violations).toHaveLength(1);
  });
});
