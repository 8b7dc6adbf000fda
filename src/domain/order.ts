import { create } from '@bufbuild/protobuf';
import {
  OrderCancelledSchema,
  OrderDeliveredSchema,
  type OrderPlaced,
  OrderShippedSchema,
} from '../gen/jetledger/order/v1/order_pb.ts';
import { type Decider, type Rejection, rejected, type Timed } from './decider.ts';
import { isAggregateId } from './ids.ts';
import { checkLines, type LineRejection, type NewOrderLine, priceLines } from './order-lines.ts';
import {
  evolveOrder,
  type KnownOrder,
  noOrder,
  type OrderEvent,
  type OrderState,
  orderEvents,
} from './order-state.ts';
import { decideStep, type StepCommand, type StepRejection } from './order-steps.ts';
import { normaliseReason } from './text.ts';

/** What a customer or the shop asks of an order. */
type CustomerCommand =
  | Timed<{
      type: 'place';
      orderId: string;
      userId: string;
      lines: readonly NewOrderLine[];
      /** Names a way to pay at the provider; 1 to 200 printable ASCII characters without blanks. */
      paymentToken: string;
      /** When the payment must be done at the latest, in milliseconds since the Unix epoch. */
      paymentDueAt: number;
    }>
  /** Before it is shipped. */
  | Timed<{ type: 'cancel'; reason: string; by: 'customer' | 'customer-deactivated' }>
  /** `tracking`: the parcel's number, up to 100 printable ASCII characters; may be empty. */
  | Timed<{ type: 'ship'; tracking: string }>
  | Timed<{ type: 'deliver' }>;

/** What can be asked of an order. */
export type OrderCommand = CustomerCommand | StepCommand;

type CommandOf<Type extends OrderCommand['type']> = Extract<OrderCommand, { type: Type }>;

interface CustomerRejection extends Rejection {
  readonly code:
    | 'order/not-found'
    | 'order/exists'
    | 'order/invalid-user'
    | 'order/total-too-large'
    | 'order/invalid-payment'
    | 'order/invalid-reason'
    | 'order/invalid-tracking'
    | 'order/already-rejected'
    | 'order/already-shipped'
    | 'order/not-confirmed'
    | 'order/not-shipped';
}

export type OrderRejection = CustomerRejection | LineRejection | StepRejection;

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
    default:
      return decideStep(command, state);
  }
}

const PAYMENT_TOKEN = /^[\x21-\x7e]{1,200}$/;
const TRACKING = /^[\x20-\x7e]{0,100}$/;

function place(command: CommandOf<'place'>, state: OrderState): Outcome {
  const { orderId, userId, lines, paymentToken, paymentDueAt, at } = command;
  if (state.status !== 'absent') {
    return isSameOrder(command, state)
      ? []
      : rejected('order/exists', 'Another order was placed under this id; place this one under a new id.');
  }
  // The read models use it as a key.
  if (!isAggregateId(userId)) {
    return rejected('order/invalid-user', 'Give the id of a registered user.');
  }
  const rejection = checkLines(lines);
  if (rejection !== undefined) return rejection;
  const priced = priceLines(lines);
  if (priced === undefined) {
    return rejected('order/total-too-large', 'The total is too large; order less at a time.');
  }
  if (!PAYMENT_TOKEN.test(paymentToken)) {
    return rejected('order/invalid-payment', "Give the payment provider's token, without blanks.");
  }
  // A message as a plain object, like its lines.
  const placed: OrderPlaced = {
    $typeName: 'jetledger.order.v1.OrderPlaced',
    orderId,
    userId,
    lines: priced.lines,
    totalMinor: priced.totalMinor,
    currency: lines[0]?.currency ?? '',
    paymentToken,
    paymentDueAt: BigInt(paymentDueAt),
    placedAt: BigInt(at),
  };
  return [placed];
}

/** Only what the client sent is compared: a repetition finds other names and prices when those changed meanwhile. */
function isSameOrder({ userId, lines, paymentToken }: CommandOf<'place'>, order: KnownOrder): boolean {
  if (order.userId !== userId || order.paymentToken !== paymentToken) return false;
  return (
    order.items.length === lines.length &&
    order.items.every(({ sku, quantity }, i) => lines[i]?.sku === sku && lines[i]?.quantity === quantity)
  );
}

function cancel(command: CommandOf<'cancel'>, order: KnownOrder): Outcome {
  if (order.status === 'cancelled') return [];
  if (order.status === 'rejected') {
    return rejected('order/already-rejected', 'This order was rejected before; nothing is left to cancel.');
  }
  if (order.status === 'shipped' || order.status === 'delivered') {
    return rejected('order/already-shipped', 'This order was shipped before; send the goods back instead.');
  }
  const reason = normaliseReason(command.reason);
  if (reason === undefined) {
    return rejected('order/invalid-reason', 'Give a reason of at most 500 characters on one line.');
  }
  return [create(OrderCancelledSchema, { reason, cancelledAt: BigInt(command.at), by: command.by })];
}

function ship({ tracking, at }: CommandOf<'ship'>, order: KnownOrder): Outcome {
  if (order.status === 'shipped' || order.status === 'delivered') return [];
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
  return order.status === 'shipped'
    ? [create(OrderDeliveredSchema, { deliveredAt: BigInt(at) })]
    : rejected('order/not-shipped', 'Only a shipped order can be delivered; read its status.');
}

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
