import type { Rejection } from '../eventstore/index.ts';
import type { OrderPlaced } from '../gen/jetledger/order/v1/order_pb.ts';
import { type DetailsRejection, fieldsOf, normaliseDetails, type OrderDetails } from './order-details.ts';
import { checkLines, type LineRejection, type NewOrderLine, priceLines } from './order-lines.ts';
import { isAggregateId, rejected, type Timed } from './values.ts';

/** Asks for a new order. */
export type PlaceOrder = Timed<{
  type: 'place';
  orderId: string;
  userId: string;
  lines: readonly NewOrderLine[];
  /** Names a way to pay at the provider; 1 to 200 printable ASCII characters without blanks. */
  paymentToken: string;
  /** When the payment must be done at the latest, in milliseconds since the Unix epoch. */
  paymentDueAt: number;
  /** Default: none. */
  details?: OrderDetails;
}>;

interface OtherRejection extends Rejection {
  readonly code: 'order/invalid-user' | 'order/total-too-large' | 'order/invalid-payment';
}

/** Why what is asked for is no order. */
export type PlacingRejection = OtherRejection | LineRejection | DetailsRejection;

const PAYMENT_TOKEN = /^[\x21-\x7e]{1,200}$/;

/** The order that is asked for, or what is wrong with it first. */
export function placeOrder(command: PlaceOrder): OrderPlaced | PlacingRejection {
  const { orderId, userId, lines, paymentToken, paymentDueAt, at } = command;
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
  const details = normaliseDetails(command.details ?? {});
  if ('code' in details) return details;
  // A message as a plain object, like its lines.
  return {
    $typeName: 'jetledger.order.v1.OrderPlaced',
    orderId,
    userId,
    lines: priced.lines,
    totalMinor: priced.totalMinor,
    currency: lines[0]?.currency ?? '',
    paymentToken,
    paymentDueAt: BigInt(paymentDueAt),
    placedAt: BigInt(at),
    ...fieldsOf(details),
  };
}
