import {
  type KnownOrder,
  type OrderEvent,
  type OrderState,
  order,
  type RefundedOrder,
} from '../../domain/order.ts';
import { command, type Process, type StandardEffect } from '../engine/index.ts';

/** A line's product and how many of it. */
export interface Item {
  readonly sku: string;
  readonly quantity: number;
}

/** What the order process does to the world because of an event. Each is safe to repeat: its keys come from the order. */
export type OrderEffect =
  /**
   * Asks the order side's own customer directory, as of at least the event's position. Where the customer is fit, `next`
   * is done, and the order is told of both together (protocol 28).
   */
  | { readonly type: 'validate-customer'; readonly userId: string; readonly next: ReserveStock }
  | ReserveStock
  | {
      readonly type: 'authorise-payment';
      readonly amountMinor: bigint;
      readonly currency: string;
      readonly token: string;
    }
  | { readonly type: 'capture-payment' }
  /** Also where nothing is reserved yet: a late reservation must be refused. */
  | { readonly type: 'release-stock'; readonly items: readonly Item[] }
  /** Gives back what was captured; for an order that was paid. */
  | { readonly type: 'refund-payment' }
  /** Cancels the payment, or refunds it when it was captured; also when the provider knows of none yet. */
  | { readonly type: 'return-payment' }
  | { readonly type: 'ship-stock'; readonly items: readonly Item[] }
  /** What was shipped is on hand again. */
  | { readonly type: 'return-stock'; readonly items: readonly Item[] }
  /** What is still reserved leaves the warehouse for good. */
  | { readonly type: 'write-off-stock'; readonly items: readonly Item[] }
  | { readonly type: 'notify'; readonly kind: OrderNotice };

/** What the customer of an order is told of. */
type OrderNotice = 'order-confirmed' | 'order-rejected' | 'order-shipped' | 'order-refunded';

interface ReserveStock {
  readonly type: 'reserve-stock';
  /** In the order given, which is the same for all orders (protocol 10). */
  readonly items: readonly Item[];
}

type Effects = readonly (OrderEffect | StandardEffect)[];

/** The kind of the timer that ends an order whose payment did not come in time. */
export const PAYMENT_DEADLINE = 'payment-deadline';

/**
 * Takes orders from placed to confirmed, or to their end with everything given back. Its state is the order's own stream:
 * each event is looked at together with what the order is by now.
 */
export const orderFlow: Process<OrderEvent, OrderState, OrderEffect> = {
  name: 'order-process',
  sources: [order],
  from: 'beginning',
  state: order,
  route: ({ $typeName }, { id }) => ({ as: routeOf($typeName), id }),
  react,
  // Cancelled or expired meanwhile, the order refuses the report, and its end gives back stock and money, also those that
  // come late: products bar the order, and a cancellation is final at the provider (protocols 10 and 11).
  fenced: ['validate-customer', 'reserve-stock', 'authorise-payment', 'capture-payment'],
  compensate,
  timers: {
    // Refused where the order has ended by now (protocol 13).
    [PAYMENT_DEADLINE]: (_, { id, time: at }) => [command(order, id, { type: 'expire', at }, '', 'ignore')],
  },
};

function routeOf(type: OrderEvent['$typeName']): 'start' | 'continue' | 'end' {
  if (type === 'jetledger.order.v1.OrderPlaced') return 'start';
  return ENDS.has(type) ? 'end' : 'continue';
}

const END_NAMES = ['OrderRejected', 'OrderCancelled', 'OrderRefundGranted'] as const;
const ENDS: ReadonlySet<string> = new Set(END_NAMES.map((name) => `jetledger.order.v1.${name}`));

/** What of a payment is under way while an event of this name is handled; of an end only where a payment was begun. */
export const PAYMENT_STEPS: ReadonlyMap<string, 'authorise' | 'capture' | 'return'> = new Map([
  ['OrderStockReserved', 'authorise'],
  ['PaymentAuthorised', 'capture'],
  ...END_NAMES.map((name) => [name, 'return'] as const),
]);

const NOTHING: Effects = [];

/** A step of an order that has ended meanwhile is not begun. */
function react(event: OrderEvent, order: OrderState): Effects {
  if (order.status === 'absent') return NOTHING;
  switch (event.$typeName) {
    case 'jetledger.order.v1.OrderPlaced':
      return begin(order);
    case 'jetledger.order.v1.CustomerValidated':
      return isAt(order, 'inventory') ? [reserve(order)] : NOTHING;
    case 'jetledger.order.v1.OrderStockReserved':
      return isAt(order, 'payment') && order.paymentId === undefined ? [authorise(order)] : NOTHING;
    case 'jetledger.order.v1.PaymentAuthorised':
      return isAt(order, 'payment') ? [{ type: 'capture-payment' }] : NOTHING;
    case 'jetledger.order.v1.OrderConfirmed':
      return confirmed(order);
    case 'jetledger.order.v1.OrderRejected':
      return [{ type: 'notify', kind: 'order-rejected' }];
    case 'jetledger.order.v1.OrderShipped':
      return [
        { type: 'ship-stock', items: itemsOf(order) },
        { type: 'notify', kind: 'order-shipped' },
      ];
    case 'jetledger.order.v1.PaymentRefunded':
      // Of an order that failed it is known already that nothing is to be paid.
      return order.status === 'refunded' ? [{ type: 'notify', kind: 'order-refunded' }] : NOTHING;
    case 'jetledger.order.v1.OrderCancelled':
    case 'jetledger.order.v1.OrderRefundGranted':
    case 'jetledger.order.v1.PaymentCaptured':
    case 'jetledger.order.v1.OrderStockReleased':
    case 'jetledger.order.v1.PaymentCancelled':
    case 'jetledger.order.v1.OrderDelivered':
      return NOTHING;
    default:
      event satisfies never;
      return NOTHING;
  }
}

function begin(order: KnownOrder): Effects {
  if (order.status !== 'placed') return NOTHING;
  const deadline = { type: 'arm', timer: PAYMENT_DEADLINE, at: order.paymentDueAt } as const;
  if (order.step !== 'customer_validation') return [deadline];
  return [deadline, { type: 'validate-customer', userId: order.userId, next: reserve(order) }];
}

function reserve(order: KnownOrder): ReserveStock {
  return { type: 'reserve-stock', items: itemsOf(order) };
}

function isAt(order: KnownOrder, step: 'inventory' | 'payment'): boolean {
  return order.status === 'placed' && order.step === step;
}

function authorise({ totalMinor, currency, paymentToken }: KnownOrder): OrderEffect {
  return { type: 'authorise-payment', amountMinor: totalMinor, currency, token: paymentToken };
}

/**
 * By SKU, whatever the order of the lines: two orders that each hold what the other still needs would both be rejected,
 * and nobody would get the last pieces (protocol 10).
 */
function itemsOf({ items }: KnownOrder): readonly Item[] {
  return items.toSorted((a, b) => (a.sku < b.sku ? -1 : 1));
}

/** A customer whose order has ended meanwhile hears of no confirmation. */
function confirmed(order: KnownOrder): Effects {
  const disarm = { type: 'disarm', timer: PAYMENT_DEADLINE } as const;
  const ended = order.status === 'cancelled' || order.status === 'refunded';
  return ended ? [disarm] : [disarm, { type: 'notify', kind: 'order-confirmed' }];
}

/** Gives back whatever may have been taken, also what a worker that is late may still be taking. */
function compensate(order: OrderState): Effects {
  if (order.status === 'absent') return NOTHING;
  if (order.status === 'refunded') return refund(order);
  const effects: OrderEffect[] = [];
  if (order.paymentTouched && !order.paymentReturned) effects.push({ type: 'return-payment' });
  // From its first moment on: whoever validates its customer reserves before the order hears of either.
  if (!order.stockReleased) effects.push({ type: 'release-stock', items: itemsOf(order) });
  return effects;
}

/** The money first. What becomes of the goods was said when the refund was granted. */
function refund(order: RefundedOrder): Effects {
  const effects: OrderEffect[] = [];
  if (!order.paymentReturned) effects.push({ type: 'refund-payment' });
  if (!order.stockReleased) effects.push({ type: settlementOf(order), items: itemsOf(order) });
  return effects;
}

function settlementOf({ restock, shipped }: RefundedOrder) {
  if (!restock) return 'write-off-stock';
  return shipped ? 'return-stock' : 'release-stock';
}
