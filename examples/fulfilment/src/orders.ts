import { setTimeout as delay } from 'node:timers/promises';
import type { Ledger, Reaction } from 'jetledger';
import { createNatsBuckets, systemRuntime } from 'jetledger/eventstore';
import {
  type Engine,
  GiveUp,
  onPublicEvents,
  openMessageStream,
  type Policy,
  RetryLater,
  startEngine,
} from 'jetledger/processes';
import { shipment } from './domain/shipment.ts';
import { OrderConfirmedSchema } from './gen/jetledger/public/orders/v1/orders_pb.ts';

/** Where the shop is, and how we ship. Times in milliseconds. */
export interface ShippingSettings {
  /** Of the shop's API. */
  readonly shopUrl: string;
  /** The stream of the shop's contract. */
  readonly stream: string;
  /** How long it takes to pack an order. */
  readonly packingMs: number;
}

/** Reads the variables. @throws RangeError that names the variable and what it takes */
export function readShippingSettings(env: Readonly<Record<string, string | undefined>>): ShippingSettings {
  const { SHOP_URL = '', ORDERS_STREAM = 'jl-public-orders-v1', PACKING_MS = '5000' } = env;
  if (!/^https?:\/\/\S+$/.test(SHOP_URL))
    throw new RangeError(`SHOP_URL: ${JSON.stringify(SHOP_URL)} is no address. Take http://host:port.`);
  if (!/^\d{1,5}$/.test(PACKING_MS))
    throw new RangeError(`PACKING_MS: ${JSON.stringify(PACKING_MS)} is no time. Take 0 to 99999.`);
  return { shopUrl: SHOP_URL, stream: ORDERS_STREAM, packingMs: Number(PACKING_MS) };
}

const TIMEOUT_MS = 5_000;
const LONGEST_PAUSE_MS = 5_000;
/** The request came too late, or is one of too many. */
const AGAIN: ReadonlySet<number> = new Set([408, 429]);

/** Whatever is not for good is tried until it works: the shop may be away for long. */
const patient: Policy = (error, attempt) =>
  error instanceof GiveUp
    ? { action: 'dead-letter' }
    : { action: 'retry', afterMs: Math.min(LONGEST_PAUSE_MS, 100 * 2 ** Math.min(attempt, 10)) };

/** Opens a shipment of the order's own id for each order that the shop has confirmed. Instances share the work. */
export async function followOrders(
  { server: { requests }, handler }: Ledger,
  { stream }: ShippingSettings,
): Promise<Engine> {
  const common = { requests, runtime: systemRuntime, timeoutMs: TIMEOUT_MS };
  const orders = await openMessageStream({ ...common, stream, subject: 'pub.orders.v1.*.{key}' });
  const confirmed = onPublicEvents({
    name: 'confirmed-orders',
    from: 'beginning',
    events: [OrderConfirmedSchema],
    policy: patient,
    handle: async ({ data: { orderId }, time }, cause) => {
      await cause.execute(shipment, orderId, { type: 'open', title: `Order ${orderId}`, at: time }, 'open');
    },
  });
  return startEngine({
    log: orders.log,
    handler,
    buckets: createNatsBuckets({ ...common, replicas: 1, announceLosses: false }),
    runtime: systemRuntime,
    consumers: [orders.reaction(confirmed)],
    settings: { prefix: 'fulfilment_orders', instance: 'fulfilment' },
  });
}

/** Packs each shipment, has the shop ship its order, and closes it. */
export function shipOrders({ shopUrl, packingMs }: ShippingSettings): Reaction {
  return {
    name: 'ship-orders',
    sources: [shipment],
    from: 'beginning',
    policy: patient,
    handle: async ({ stream: { id }, events }, { causedBy }) => {
      for (const consumed of events) {
        if (consumed.event.$typeName !== 'fulfilment.shipment.v1.ShipmentOpened') continue;
        await delay(Math.max(0, consumed.time + packingMs - Date.now()));
        await ship(shopUrl, id);
        await causedBy(consumed).execute(shipment, id, { type: 'close', at: Date.now() }, 'close');
      }
    },
  };
}

/** Safe to repeat: the same key gets the first answer. @throws RetryLater, GiveUp */
async function ship(shopUrl: string, orderId: string): Promise<void> {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': `shipment-${orderId}` },
    body: '{}',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const url = `${shopUrl}/v1/orders/${orderId}/ship`;
  const answer = await fetch(url, request).catch((error: unknown) => {
    throw new RetryLater(`The shop does not answer: ${String(error)}`);
  });
  const said = await answer.text();
  if (answer.ok) return;
  if (answer.status >= 500 || AGAIN.has(answer.status))
    throw new RetryLater(`The shop says ${answer.status}.`);
  throw new GiveUp(`The shop refuses to ship ${orderId}: ${answer.status} ${said}`);
}
