import { create, type MessageShape } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../eventstore/index.ts';
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
} from '../gen/jetledger/order/v1/order_pb.ts';
import { areSameDetails, detailsOf, normaliseDetails, type OrderDetails } from './order-details.ts';
import { type PlaceOrder, type PlacingRejection, placeOrder } from './order-placing.ts';
import { normaliseGivenReason, normaliseReason, rejected, type Timed } from './values.ts';

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
  OrderRefundGrantedSchema,
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
  readonly details: OrderDetails;
  readonly totalMinor: bigint;
  /** ISO 4217. */
  readonly currency: string;
  readonly paymentToken: string;
  /** Milliseconds since the Unix epoch. */
  readonly paymentDueAt: number;
  /** The provider's; undefined until the payment was authorised. */
  readonly paymentId: string | undefined;
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

/** An order that was given up for its customer, who gets all of the money back. */
export interface RefundedOrder extends OrderFacts {
  readonly status: 'refunded';
  /** Whether its goods are for sale again. */
  readonly restock: boolean;
  /** Whether they had been shipped. */
  readonly shipped: boolean;
}

interface OtherOrder extends OrderFacts {
  readonly status: 'confirmed' | 'cancelled' | 'shipped' | 'delivered';
}

/** Any order that was placed. */
export type KnownOrder = PlacedOrder | RejectedOrder | RefundedOrder | OtherOrder;

export type OrderState = { readonly status: 'absent' } | KnownOrder;

/** Before the first event. */
export const noOrder: OrderState = { status: 'absent' };

/** What an order is after an event; total. */
export function evolveOrder(state: OrderState, event: OrderEvent): OrderState {
  if (event.$typeName === 'jetledger.order.v1.OrderPlaced') return placed(event);
  if (state.status === 'absent') return state;
  switch (event.$typeName) {
    case 'jetledger.order.v1.CustomerValidated':
      return { status: 'placed', step: 'inventory', ...factsOf(state) };
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
    case 'jetledger.order.v1.OrderRefundGranted': {
      const shipped = state.status === 'shipped' || state.status === 'delivered';
      return { status: 'refunded', restock: event.restock, shipped, ...factsOf(state) };
    }
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
    details: detailsOf(event),
    items: event.lines.map(({ sku, quantity }) => ({ sku, quantity: Number(quantity) })),
    totalMinor,
    currency,
    paymentToken,
    paymentDueAt: Number(paymentDueAt),
    paymentId: undefined,
    paymentTouched: false,
    stockReleased: false,
    paymentReturned: false,
  };
}

/** What stays the same from one status to the next; where and why an order failed does not. */
function factsOf(order: KnownOrder): OrderFacts {
  // Named one by one: what is left of an object without some fields is of a hidden class of its own each time.
  const { userId, items, details, totalMinor, currency, paymentToken, paymentDueAt, paymentId } = order;
  const { paymentTouched, stockReleased, paymentReturned } = order;
  return {
    userId,
    items,
    details,
    totalMinor,
    currency,
    paymentToken,
    paymentDueAt,
    paymentId,
    paymentTouched,
    stockReleased,
    paymentReturned,
  };
}

interface Payment {
  /** The provider's. */
  readonly paymentId: string;
  readonly amountMinor: bigint;
  readonly currency: string;
}

/** What the order process reports to an order. A report that comes twice, or too late to matter, changes nothing. */
export type StepCommand =
  /** `directoryPosition`: up to where the customer directory had read the log. */
  | Timed<{ type: 'recordCustomerValidated'; directoryPosition: number }>
  | Timed<{ type: 'recordStockReserved' }>
  | Timed<{ type: 'recordAuthorised' } & Payment>
  /** Confirms the order in the same breath: there is no moment at which it is paid and may still fail. */
  | Timed<{ type: 'recordCaptured' } & Payment>
  /** Counts only while the order is at that step: a late report cannot undo a step that was done meanwhile. */
  | Timed<{ type: 'reject'; step: OrderStep; code: string; reason: string }>
  /** Nothing before the payment is due. */
  | Timed<{ type: 'expire' }>
  | Timed<{ type: 'recordStockReleased' }>
  /** `paymentId` is empty when the provider had never heard of it. */
  | Timed<{ type: 'recordPaymentCancelled'; paymentId: string }>
  | Timed<{ type: 'recordPaymentRefunded' } & Payment>;

export interface StepRejection extends Rejection {
  /** The provider moved another amount than the order's total: for an operator, since no retry can mend it. */
  readonly code: 'order/amount-mismatch';
}

/** What a report comes to. */
export function decideStep(command: StepCommand, order: KnownOrder): Outcome {
  switch (command.type) {
    case 'recordStockReleased':
    case 'recordPaymentCancelled':
    case 'recordPaymentRefunded':
      return compensated(command, order);
    default:
      return advanced(command, order);
  }
}

type Compensation = 'recordStockReleased' | 'recordPaymentCancelled' | 'recordPaymentRefunded';

function advanced(command: Exclude<StepCommand, { type: Compensation }>, order: KnownOrder): Outcome {
  if (order.status !== 'placed') return [];
  const at = BigInt(command.at);
  switch (command.type) {
    case 'recordCustomerValidated': {
      if (order.step !== 'customer_validation') return [];
      const directoryPosition = BigInt(command.directoryPosition);
      return [create(CustomerValidatedSchema, { validatedAt: at, directoryPosition })];
    }
    case 'recordStockReserved':
      return order.step === 'inventory' ? [create(OrderStockReservedSchema, { reservedAt: at })] : [];
    case 'recordAuthorised': {
      if (order.step !== 'payment' || order.paymentId !== undefined) return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      return [create(PaymentAuthorisedSchema, { ...paymentOf(command), authorisedAt: at })];
    }
    case 'recordCaptured': {
      if (order.step !== 'payment') return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      const captured = create(PaymentCapturedSchema, { ...paymentOf(command), capturedAt: at });
      return [captured, create(OrderConfirmedSchema, { confirmedAt: at })];
    }
    case 'reject': {
      const { step, code, reason } = command;
      return order.step === step ? [create(OrderRejectedSchema, { step, code, reason, rejectedAt: at })] : [];
    }
    case 'expire':
      return command.at < order.paymentDueAt
        ? []
        : [create(OrderRejectedSchema, { ...EXPIRED, rejectedAt: at })];
  }
}

function compensated(command: Extract<StepCommand, { type: Compensation }>, order: KnownOrder): Outcome {
  if (order.status !== 'rejected' && order.status !== 'cancelled' && order.status !== 'refunded') return [];
  const at = BigInt(command.at);
  switch (command.type) {
    case 'recordStockReleased':
      return order.stockReleased ? [] : [create(OrderStockReleasedSchema, { releasedAt: at })];
    case 'recordPaymentCancelled': {
      const { paymentId } = command;
      // What is refunded was captured, and money is not returned by a cancellation that comes late.
      return order.paymentReturned || order.status === 'refunded'
        ? []
        : [create(PaymentCancelledSchema, { paymentId, cancelledAt: at })];
    }
    case 'recordPaymentRefunded': {
      if (order.paymentReturned) return [];
      if (!isTotal(command, order)) return AMOUNT_MISMATCH;
      return [create(PaymentRefundedSchema, { ...paymentOf(command), refundedAt: at })];
    }
  }
}

function isTotal({ amountMinor, currency }: Payment, order: KnownOrder): boolean {
  return amountMinor === order.totalMinor && currency === order.currency;
}

function paymentOf({ paymentId, amountMinor, currency }: Payment): Payment {
  return { paymentId, amountMinor, currency };
}

const EXPIRED = {
  step: 'payment',
  code: 'payment/expired',
  reason: 'The payment was not completed in time.',
};
const AMOUNT_MISMATCH = rejected(
  'order/amount-mismatch',
  "The payment's amount is not the order's total; settle it with the provider.",
);

/** What a customer or the shop asks of an order. */
type CustomerCommand =
  | PlaceOrder
  /** Before it is shipped. */
  | Timed<{ type: 'cancel'; reason: string; by: 'customer' | 'customer-deactivated' }>
  /** `tracking`: the parcel's number, up to 100 printable ASCII characters; may be empty. */
  | Timed<{ type: 'ship'; tracking: string }>
  | Timed<{ type: 'deliver' }>
  /** Whole, and once it is confirmed; `restock`: its goods are for sale again. */
  | Timed<{ type: 'refund'; reason: string; restock: boolean }>;

/** What can be asked of an order. */
export type OrderCommand = CustomerCommand | StepCommand;

type CommandOf<Type extends OrderCommand['type']> = Extract<OrderCommand, { type: Type }>;

interface CustomerRejection extends Rejection {
  readonly code:
    | 'order/not-found'
    | 'order/exists'
    | 'order/invalid-reason'
    | 'order/invalid-tracking'
    | 'order/already-rejected'
    | 'order/already-shipped'
    | 'order/not-confirmed'
    | 'order/not-shipped'
    | 'order/not-refundable'
    | 'order/already-refunded';
}

export type OrderRejection = CustomerRejection | PlacingRejection | StepRejection;

type Outcome = readonly OrderEvent[] | OrderRejection;

function decide(command: OrderCommand, state: OrderState): Outcome {
  if (command.type === 'place') return place(command, state);
  if (state.status === 'absent')
    return rejected('order/not-found', 'There is no such order; place it first.');
  switch (command.type) {
    case 'cancel':
      return cancel(command, state);
    case 'ship':
      return ship(command, state);
    case 'deliver':
      return deliver(command, state);
    case 'refund':
      return refund(command, state);
    default:
      return decideStep(command, state);
  }
}

const TRACKING = /^[\x20-\x7e]{0,100}$/;

function place(command: PlaceOrder, state: OrderState): Outcome {
  if (state.status !== 'absent') {
    return isSameOrder(command, state)
      ? []
      : rejected('order/exists', 'Another order was placed under this id; place this one under a new id.');
  }
  const placed = placeOrder(command);
  return 'code' in placed ? placed : [placed];
}

/** Only what the client sent is compared: a repetition finds other names and prices when those changed meanwhile. */
function isSameOrder({ userId, lines, paymentToken, details = {} }: PlaceOrder, order: KnownOrder): boolean {
  if (order.userId !== userId || order.paymentToken !== paymentToken) return false;
  const said = normaliseDetails(details);
  if ('code' in said || !areSameDetails(said, order.details)) return false;
  return (
    order.items.length === lines.length &&
    order.items.every(({ sku, quantity }, i) => lines[i]?.sku === sku && lines[i]?.quantity === quantity)
  );
}

function cancel(command: CommandOf<'cancel'>, order: KnownOrder): Outcome {
  const { at, by } = command;
  const { userId } = order;
  if (order.status === 'cancelled') return [];
  if (order.status === 'rejected') {
    return rejected('order/already-rejected', 'This order was rejected before; nothing is left to cancel.');
  }
  if (order.status === 'refunded') return ALREADY_REFUNDED;
  if (order.status === 'shipped' || order.status === 'delivered') {
    return rejected('order/already-shipped', 'This order was shipped before; send the goods back instead.');
  }
  const reason = normaliseReason(command.reason);
  if (reason === undefined) return INVALID_REASON;
  return [create(OrderCancelledSchema, { reason, cancelledAt: BigInt(at), by, userId })];
}

function ship({ tracking, at }: CommandOf<'ship'>, order: KnownOrder): Outcome {
  if (order.status === 'shipped' || order.status === 'delivered') return [];
  if (order.status === 'refunded') return ALREADY_REFUNDED;
  if (order.status !== 'confirmed') {
    return rejected('order/not-confirmed', 'Only a confirmed order can be shipped; read its status.');
  }
  if (!TRACKING.test(tracking)) {
    return rejected(
      'order/invalid-tracking',
      'Give a tracking number of at most 100 printable ASCII characters.',
    );
  }
  return [create(OrderShippedSchema, { tracking, shippedAt: BigInt(at) })];
}

function deliver({ at }: CommandOf<'deliver'>, order: KnownOrder): Outcome {
  if (order.status === 'delivered') return [];
  if (order.status === 'refunded') return ALREADY_REFUNDED;
  return order.status === 'shipped'
    ? [create(OrderDeliveredSchema, { deliveredAt: BigInt(at) })]
    : rejected('order/not-shipped', 'Only a shipped order can be delivered; read its status.');
}

function refund(command: CommandOf<'refund'>, order: KnownOrder): Outcome {
  const { restock } = command;
  // What becomes of the goods is decided once.
  if (order.status === 'refunded') return order.restock === restock ? [] : ALREADY_REFUNDED;
  if (order.status !== 'confirmed' && order.status !== 'shipped' && order.status !== 'delivered') {
    const message = 'Only a confirmed, shipped or delivered order can be refunded; read its status.';
    return rejected('order/not-refundable', message);
  }
  const reason = normaliseGivenReason(command.reason);
  if (reason === undefined) return NO_REASON;
  return [
    create(OrderRefundGrantedSchema, {
      reason,
      restock,
      grantedAt: BigInt(command.at),
      userId: order.userId,
    }),
  ];
}

const ALREADY_REFUNDED = rejected(
  'order/already-refunded',
  'This order was refunded before; read its events to see how.',
);
const NO_REASON = rejected(
  'order/invalid-reason',
  'Say why, in 1 to 500 characters on one line, none that turns the direction of writing.',
);
const INVALID_REASON = rejected(
  'order/invalid-reason',
  'Give a reason of at most 500 characters on one line, none that turns the direction of writing.',
);

/**
 * A customer's order for up to 100 products at the prices of the moment it was placed. The order process validates
 * the customer, reserves stock and takes the payment; each step and each failure is an event here.
 */
export const order: Decider<OrderState, OrderCommand, OrderEvent, OrderRejection> = {
  category: 'order',
  events: orderEvents,
  initial: noOrder,
  evolve: evolveOrder,
  decide,
};
