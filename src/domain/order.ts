import { create, type MessageShape } from '@bufbuild/protobuf';
import { OrderCancelledSchema, OrderPlacedSchema } from '../gen/jetledger/order/v1/order_pb.ts';
import { type Decider, type Rejection, rejected, type Timed } from './decider.ts';
import { addAmounts, isCurrency, isPrice, multiplyAmount } from './money.ts';
import { isSku } from './sku.ts';
import { normaliseReason } from './text.ts';

const events = [OrderPlacedSchema, OrderCancelledSchema] as const;

/** What can happen to an order. */
export type OrderEvent = MessageShape<(typeof events)[number]>;

/** The most lines of one order. */
export const MAX_ORDER_LINES = 100;

/** The most pieces on one line. */
export const MAX_LINE_QUANTITY = 1_000_000;

/** One line as asked for. Name, price (minor units) and currency are the service's, looked up from the product. */
export interface NewOrderLine {
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPriceMinor: bigint;
  readonly currency: string;
}

/** What can be asked of an order. */
export type OrderCommand =
  | Timed<{ type: 'place'; orderId: string; userId: string; lines: readonly NewOrderLine[] }>
  | Timed<{ type: 'cancel'; reason: string }>;

type CommandOf<Type extends OrderCommand['type']> = Extract<OrderCommand, { type: Type }>;

export interface OrderRejection extends Rejection {
  readonly code:
    | 'order/not-found'
    | 'order/exists'
    /** Details: `lines`, how many there were. */
    | 'order/invalid-line-count'
    /** These three have as details the `sku` of the first such line. */
    | 'order/invalid-quantity'
    | 'order/duplicate-sku'
    | 'order/mixed-currencies'
    /** Details: `line`, counted from 1. What the service looked up is no product that can be sold. */
    | 'order/invalid-line'
    | 'order/total-too-large'
    | 'order/invalid-reason';
}

/** The part of a line that decisions need. */
export interface OrderedItem {
  readonly sku: string;
  readonly quantity: number;
}

/** An order that was placed. */
export interface PlacedOrder {
  readonly status: 'placed' | 'cancelled';
  readonly userId: string;
  readonly items: readonly OrderedItem[];
}

export type OrderState = { readonly status: 'absent' } | PlacedOrder;

const initial: OrderState = { status: 'absent' };

function evolve(state: OrderState, event: OrderEvent): OrderState {
  switch (event.$typeName) {
    case 'jetledger.order.v1.OrderPlaced': {
      const items = event.lines.map(({ sku, quantity }) => ({ sku, quantity: Number(quantity) }));
      return { status: 'placed', userId: event.userId, items };
    }
    case 'jetledger.order.v1.OrderCancelled':
      return state.status === 'absent' ? state : { ...state, status: 'cancelled' };
    default:
      event satisfies never;
      return state;
  }
}

type Outcome = readonly OrderEvent[] | OrderRejection;

function decide(command: OrderCommand, state: OrderState): Outcome {
  switch (command.type) {
    case 'place':
      return place(command, state);
    case 'cancel':
      return cancel(command, state);
  }
}

function cancel(command: CommandOf<'cancel'>, state: OrderState): Outcome {
  if (state.status === 'absent')
    return rejected('order/not-found', 'There is no such order; place it first.');
  if (state.status === 'cancelled') return [];
  const reason = normaliseReason(command.reason);
  if (reason === undefined) {
    return rejected('order/invalid-reason', 'Give a reason of at most 500 characters on one line.');
  }
  return [create(OrderCancelledSchema, { reason, cancelledAt: BigInt(command.at) })];
}

function place(command: CommandOf<'place'>, state: OrderState): Outcome {
  const { orderId, userId, lines, at } = command;
  if (state.status !== 'absent') {
    return isSameOrder(command, state)
      ? []
      : rejected('order/exists', 'Another order was placed under this id; place this one under a new id.');
  }
  const rejection = checkLines(lines);
  if (rejection !== undefined) return rejection;
  const priced = priceLines(lines);
  if (priced === undefined) {
    return rejected('order/total-too-large', 'The total is too large; order less at a time.');
  }
  const currency = lines[0]?.currency ?? '';
  return [create(OrderPlacedSchema, { orderId, userId, ...priced, currency, placedAt: BigInt(at) })];
}

/** Only what the client sent is compared: a repetition finds other names and prices when those changed meanwhile. */
function isSameOrder({ userId, lines }: CommandOf<'place'>, order: PlacedOrder): boolean {
  if (order.userId !== userId || order.items.length !== lines.length) return false;
  return order.items.every(
    ({ sku, quantity }, i) => lines[i]?.sku === sku && lines[i]?.quantity === quantity,
  );
}

function checkLines(lines: readonly NewOrderLine[]): OrderRejection | undefined {
  if (lines.length < 1 || lines.length > MAX_ORDER_LINES) {
    const details = { lines: lines.length };
    return rejected('order/invalid-line-count', 'Order 1 to 100 lines at a time.', details);
  }
  const skus = new Set<string>();
  const currency = lines[0]?.currency;
  for (const [index, line] of lines.entries()) {
    const { sku, quantity } = line;
    if (!isOnSale(line)) {
      const details = { line: index + 1 };
      return rejected('order/invalid-line', 'A line names no product for sale; leave it out.', details);
    }
    if (!(Number.isInteger(quantity) && quantity >= 1 && quantity <= MAX_LINE_QUANTITY)) {
      const message = 'Give each line a whole quantity from 1 to 1,000,000.';
      return rejected('order/invalid-quantity', message, { sku });
    }
    if (skus.has(sku)) {
      const message = 'A product is on two lines; put it on one line with the sum.';
      return rejected('order/duplicate-sku', message, { sku });
    }
    if (line.currency !== currency) {
      const message = 'The products are sold in several currencies; order each separately.';
      return rejected('order/mixed-currencies', message, { sku });
    }
    skus.add(sku);
  }
  return undefined;
}

function isOnSale({ sku, name, unitPriceMinor, currency }: NewOrderLine): boolean {
  return isSku(sku) && name !== '' && isPrice(unitPriceMinor) && isCurrency(currency);
}

/** The event's lines and total, or undefined when the total is no exact JSON integer. */
function priceLines(lines: readonly NewOrderLine[]) {
  let totalMinor = 0n;
  const priced = [];
  for (const { sku, name, quantity, unitPriceMinor } of lines) {
    const lineTotalMinor = multiplyAmount(unitPriceMinor, BigInt(quantity));
    if (lineTotalMinor === undefined) return undefined;
    const sum = addAmounts(totalMinor, lineTotalMinor);
    if (sum === undefined) return undefined;
    totalMinor = sum;
    priced.push({ sku, name, quantity: BigInt(quantity), unitPriceMinor, lineTotalMinor });
  }
  return { lines: priced, totalMinor };
}

/** A customer's order for up to 100 products at the prices of the moment it was placed. */
export const order: Decider<OrderState, OrderCommand, OrderEvent, OrderRejection> = {
  category: 'order',
  events,
  initial,
  evolve,
  decide,
};
