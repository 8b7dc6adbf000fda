import { type OrderEvent, type OrderState, order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { recordedEvents } from '../../src/eventstore/reading/recorded-event.ts';
import type { DeadLetter } from '../../src/processes/engine/dead-letters/entry.ts';

/** What a shop's log and the second service's own log and dead letters come to. */
export interface ShipmentsReport {
  /** Shipments that were opened, once for each order that was confirmed. */
  readonly opened: number;
  /** Of them: shipped by the second service, by hand before it, and refused by the shop. */
  readonly shipped: number;
  readonly shippedByHand: number;
  readonly refused: number;
  readonly violations: readonly string[];
}

/** The tracking number of parcels that customers' requests ship: it tells who was first. */
export const BY_HAND = 'by-hand';

/** An order that was confirmed. */
export interface Parcel {
  readonly status: OrderState['status'];
  /** The tracking number of each time that it was shipped. */
  readonly shipped: readonly string[];
}

/** What the second service has of an order. */
export interface Shipment {
  /** The types of its events. */
  readonly events: readonly string[];
  readonly deadLetters: readonly Pick<DeadLetter, 'consumer' | 'error'>[];
}

/** Every order that was ever confirmed, as the shop's log says. */
export async function parcelsOf(log: Log): Promise<ReadonlyMap<string, Parcel>> {
  const codec = codecOf<OrderEvent>(order);
  const orders = new Map<string, { state: OrderState; confirmed: boolean; shipped: string[] }>();
  for await (const { commits } of log.scan({ after: BEGINNING, filter: { category: order.category } }))
    for (const commit of commits) {
      const { id } = commit.stream;
      const known = orders.get(id) ?? { state: order.initial, confirmed: false, shipped: [] };
      orders.set(id, known);
      for (const { event } of recordedEvents(commit, codec)) {
        known.state = order.evolve(known.state, event);
        if (event.$typeName === 'jetledger.order.v1.OrderConfirmed') known.confirmed = true;
        if (event.$typeName === 'jetledger.order.v1.OrderShipped') known.shipped.push(event.tracking);
      }
    }
  const confirmed = [...orders].filter(([, { confirmed }]) => confirmed);
  return new Map(confirmed.map(([id, { state, shipped }]) => [id, { status: state.status, shipped }]));
}

/** What the second service has of each order, as its own log and its dead letters say. */
export async function shipmentsOf(
  log: Log,
  deadLetters: readonly DeadLetter[],
): Promise<ReadonlyMap<string, Shipment>> {
  const events = new Map<string, string[]>();
  const add = (id: string, types: readonly string[]) => events.set(id, [...(events.get(id) ?? []), ...types]);
  for await (const { commits } of log.scan({ after: BEGINNING, filter: { category: 'shipment' } }))
    for (const { stream, decisions } of commits)
      for (const decision of decisions)
        add(
          stream.id,
          decision.events.map(({ type }) => type),
        );
  for (const { id } of deadLetters) add(id, []);
  return new Map(
    [...events].map(([id, types]) => [
      id,
      { events: types, deadLetters: deadLetters.filter((letter) => letter.id === id) },
    ]),
  );
}

/** Compares them, order by order. */
export function compareShipments(
  parcels: ReadonlyMap<string, Parcel>,
  shipments: ReadonlyMap<string, Shipment>,
): ShipmentsReport {
  const counts = { opened: 0, shipped: 0, shippedByHand: 0, refused: 0 };
  const violations = [...shipments.keys()]
    .filter((id) => !parcels.has(id))
    .map((id) => `${id} has a shipment and was never confirmed`);
  for (const [id, parcel] of parcels) {
    const { events, deadLetters } = shipments.get(id) ?? { events: [], deadLetters: [] };
    if (events.includes(OPENED)) counts.opened++;
    const refusals = deadLetters.map(({ consumer, error }) => `${consumer}: ${error?.message}`);
    const [end, ...more] = [...events.slice(1), ...refusals];
    const by = end === undefined || more.length > 0 ? undefined : endOf(parcel, end);
    if (events[0] === OPENED && by !== undefined) counts[by]++;
    else {
      const has = [...events, ...refusals].join(', ') || 'nothing';
      violations.push(`${id} is ${parcel.status}, shipped [${parcel.shipped.join(', ')}]: it has ${has}`);
    }
  }
  return { ...counts, violations };
}

const OPENED = 'ShipmentOpened';
const CLOSED = 'ShipmentClosed';
/** What the shop says to whoever ships an order of this status. */
const REFUSALS: Readonly<Partial<Record<OrderState['status'], string>>> = {
  cancelled: 'order/not-confirmed',
  refunded: 'order/already-refunded',
};

/** How a shipment has ended, when that is how it must end; undefined when it is not. */
function endOf(
  { status, shipped }: Parcel,
  end: string,
): 'shipped' | 'shippedByHand' | 'refused' | undefined {
  const [tracking, ...again] = shipped;
  if (again.length > 0) return undefined;
  if (end === CLOSED) {
    if (tracking === undefined) return undefined;
    return tracking === BY_HAND ? 'shippedByHand' : 'shipped';
  }
  // What was shipped by it is closed; by hand, it may have been refunded before it was packed here.
  const code = tracking === undefined || tracking === BY_HAND ? REFUSALS[status] : undefined;
  const isRefusal = code !== undefined && end.startsWith('ship-orders: The shop refuses to ship ');
  return isRefusal && end.includes(' 409 ') && end.includes(code) ? 'refused' : undefined;
}
