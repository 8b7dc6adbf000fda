import type { MessageShape } from '@bufbuild/protobuf';
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
} from '../gen/jetledger/order/v1/order_pb.ts';

/** The schemas of everything that can happen to an order. */
export const orderEvents = [
  OrderPlacedSchema,
  OrderCancelledSchema,
  CustomerValidatedSchema,
  OrderStockReservedSchema,
  PaymentAuthorisedSchema,
  PaymentCapturedSchema,
  OrderConfirmedSchema,
  OrderRejectedSchema,
  OrderStockReleasedSchema,
  PaymentCancelledSchema,
  PaymentRefundedSchema,
  OrderShippedSchema,
  OrderDeliveredSchema,
] as const;

/** What can happen to an order. */
export type OrderEvent = MessageShape<(typeof orderEvents)[number]>;

/** What a placed order waits for; also where a rejected one failed. */
export type OrderStep = 'customer_validation' | 'inventory' | 'payment';

/** The part of a line that decisions need. */
export interface OrderedItem {
  readonly sku: string;
  readonly quantity: number;
}

interface OrderFacts {
  readonly userId: string;
  readonly items: readonly OrderedItem[];
  readonly totalMinor: bigint;
  /** ISO 4217. */
  readonly currency: string;
  readonly paymentToken: string;
  /** Milliseconds since the Unix epoch. */
  readonly paymentDueAt: number;
  /** The provider's; undefined until the payment was authorised. */
  readonly paymentId: string | undefined;
  /** From the validation of the customer on, reservations may be under way. */
  readonly stockTouched: boolean;
  /** From the reservation of all stock on, a payment may be under way. */
  readonly paymentTouched: boolean;
  readonly stockReleased: boolean;
  readonly paymentReturned: boolean;
}

/** An order on its way to its confirmation. */
export interface PlacedOrder extends OrderFacts {
  readonly status: 'placed';
  readonly step: OrderStep;
}

/** An order that failed at a step. The code is for programs, the reason is a sentence for the customer. */
export interface RejectedOrder extends OrderFacts {
  readonly status: 'rejected';
  readonly step: string;
  readonly code: string;
  readonly reason: string;
}

interface OtherOrder extends OrderFacts {
  readonly status: 'confirmed' | 'cancelled' | 'shipped' | 'delivered';
}

/** Any order that was placed. */
export type KnownOrder = PlacedOrder | RejectedOrder | OtherOrder;

export type OrderState = { readonly status: 'absent' } | KnownOrder;

/** Before the first event. */
export const noOrder: OrderState = { status: 'absent' };

/** What an order is after an event; total. */
export function evolveOrder(state: OrderState, event: OrderEvent): OrderState {
  if (event.$typeName === 'jetledger.order.v1.OrderPlaced') return placed(event);
  if (state.status === 'absent') return state;
  switch (event.$typeName) {
    case 'jetledger.order.v1.CustomerValidated':
      return { status: 'placed', step: 'inventory', ...factsOf(state), stockTouched: true };
    case 'jetledger.order.v1.OrderStockReserved':
      return { status: 'placed', step: 'payment', ...factsOf(state), paymentTouched: true };
    case 'jetledger.order.v1.PaymentAuthorised':
    case 'jetledger.order.v1.PaymentCaptured':
      return { ...state, paymentId: event.paymentId };
    case 'jetledger.order.v1.OrderConfirmed':
      return { status: 'confirmed', ...factsOf(state) };
    case 'jetledger.order.v1.OrderRejected': {
      const { step, code, reason } = event;
      return { status: 'rejected', step, code, reason, ...factsOf(state) };
    }
    case 'jetledger.order.v1.OrderCancelled':
      return { status: 'cancelled', ...factsOf(state) };
    case 'jetledger.order.v1.OrderStockReleased':
      return { ...state, stockReleased: true };
    case 'jetledger.order.v1.PaymentCancelled':
    case 'jetledger.order.v1.PaymentRefunded':
      return { ...state, paymentReturned: true };
    case 'jetledger.order.v1.OrderShipped':
      return { status: 'shipped', ...factsOf(state) };
    case 'jetledger.order.v1.OrderDelivered':
      return { status: 'delivered', ...factsOf(state) };
    default:
      event satisfies never;
      return state;
  }
}

function placed(event: Extract<OrderEvent, { $typeName: 'jetledger.order.v1.OrderPlaced' }>): PlacedOrder {
  const { userId, totalMinor, currency, paymentToken, paymentDueAt } = event;
  return {
    status: 'placed',
    step: 'customer_validation',
    userId,
    items: event.lines.map(({ sku, quantity }) => ({ sku, quantity: Number(quantity) })),
    totalMinor,
    currency,
    paymentToken,
    paymentDueAt: Number(paymentDueAt),
    paymentId: undefined,
    stockTouched: false,
    paymentTouched: false,
    stockReleased: false,
    paymentReturned: false,
  };
}

/** What stays the same from one status to the next; where and why an order failed does not. */
function factsOf(order: KnownOrder): OrderFacts {
  // Named one by one: what is left of an object without some fields is of a hidden class of its own each time.
  const { userId, items, totalMinor, currency, paymentToken, paymentDueAt, paymentId } = order;
  const { stockTouched, paymentTouched, stockReleased, paymentReturned } = order;
  return {
    userId,
    items,
    totalMinor,
    currency,
    paymentToken,
    paymentDueAt,
    paymentId,
    stockTouched,
    paymentTouched,
    stockReleased,
    paymentReturned,
  };
}
