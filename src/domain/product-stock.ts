import { create } from '@bufbuild/protobuf';
import {
  StockReceivedSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockShippedSchema,
} from '../gen/jetledger/product/v1/product_pb.ts';
import { type Rejection, rejected, type Timed } from './decider.ts';
import { isReceiptId } from './ids.ts';
import { getKey } from './key-map.ts';
import { isEnded, reservedFor } from './product-reservations.ts';
import type { ListedProduct, ProductEvent } from './product-state.ts';

/** The most pieces that one receipt may bring or one order reserve. */
const MAX_QUANTITY = 1_000_000_000;

// Stock stays an exact integer for every JSON reader.
const MAX_STOCK = BigInt(Number.MAX_SAFE_INTEGER);

/** What can be asked of a product's stock. */
export type StockCommand =
  /** `receiptId` is the delivery's own key: the same receipt never counts twice. */
  | Timed<{ type: 'receiveStock'; receiptId: string; quantity: number }>
  /** The order's id is the reservation's key. */
  | Timed<{ type: 'reserveStock'; orderId: string; quantity: number }>
  /** Also where nothing is reserved: it bars the order, so that a late reservation is refused (protocol 10). */
  | Timed<{ type: 'releaseStock'; orderId: string }>
  | Timed<{ type: 'shipStock'; orderId: string }>;

type CommandOf<Type extends StockCommand['type']> = Extract<StockCommand, { type: Type }>;

export interface StockRejection extends Rejection {
  readonly code:
    | 'product/discontinued'
    /** Details: `quantity`, what was received under this receipt before. */
    | 'product/receipt-conflict'
    | 'product/stock-overflow'
    | 'product/invalid-receipt'
    | 'product/invalid-quantity'
    /** Details: `available`, how many pieces could be reserved; not for clients. */
    | 'product/insufficient-stock'
    /** Details: `quantity`, what is reserved for this order. */
    | 'product/reservation-conflict'
    | 'product/reservation-released';
}

type Outcome = readonly ProductEvent[] | StockRejection;

/** What a command on the stock comes to. */
export function decideStock(command: StockCommand, product: ListedProduct): Outcome {
  switch (command.type) {
    case 'receiveStock':
      return receive(command, product);
    case 'reserveStock':
      return reserve(command, product);
    case 'releaseStock':
      return release(command, product);
    case 'shipStock':
      return ship(command, product);
  }
}

function receive(command: CommandOf<'receiveStock'>, product: ListedProduct): Outcome {
  const { receiptId, at } = command;
  if (!isReceiptId(receiptId)) {
    return rejected(
      'product/invalid-receipt',
      'Give a receipt id of 1 to 100 printable ASCII characters without blanks.',
    );
  }
  if (!isQuantity(command.quantity)) return INVALID_QUANTITY;
  const quantity = BigInt(command.quantity);
  const before = getKey(product.receipts, receiptId);
  if (before === quantity) return [];
  if (before !== undefined) {
    const message =
      'This receipt was booked with another quantity; use a new receipt id for another delivery.';
    return { code: 'product/receipt-conflict', message, details: { quantity: Number(before) } };
  }
  if (product.status === 'discontinued') return DISCONTINUED;
  const onHand = product.onHand + quantity;
  if (onHand > MAX_STOCK) {
    return rejected(
      'product/stock-overflow',
      'The stock would exceed what can be counted exactly; receive less.',
    );
  }
  return [create(StockReceivedSchema, { receiptId, quantity, onHand, receivedAt: BigInt(at) })];
}

function reserve(command: CommandOf<'reserveStock'>, product: ListedProduct): Outcome {
  const { orderId, at } = command;
  if (!isQuantity(command.quantity)) return INVALID_QUANTITY;
  const quantity = BigInt(command.quantity);
  const before = reservedFor(product.reservations, orderId);
  if (before === quantity) return [];
  if (before !== undefined) {
    const message = 'Another quantity is reserved for this order; release it and order anew.';
    return rejected('product/reservation-conflict', message, { quantity: Number(before) });
  }
  if (isEnded(product.reservations, orderId)) {
    const message = "This order's reservation has ended; place a new order.";
    return rejected('product/reservation-released', message);
  }
  if (product.status === 'discontinued') return DISCONTINUED;
  const available = product.onHand - product.reserved;
  if (quantity > available) {
    const message = 'There is not enough stock; order less or wait for the next delivery.';
    return rejected('product/insufficient-stock', message, { available: Number(available) });
  }
  const reserved = product.reserved + quantity;
  return [create(StockReservedSchema, { orderId, quantity, reserved, reservedAt: BigInt(at) })];
}

function release({ orderId, at }: CommandOf<'releaseStock'>, product: ListedProduct): Outcome {
  const quantity = reservedFor(product.reservations, orderId);
  if (quantity === undefined && isEnded(product.reservations, orderId)) return [];
  const reserved = product.reserved - (quantity ?? 0n);
  return [
    create(StockReleasedSchema, { orderId, quantity: quantity ?? 0n, reserved, releasedAt: BigInt(at) }),
  ];
}

/** Where nothing is reserved it was shipped before, perhaps so long ago that this is forgotten: never twice. */
function ship({ orderId, at }: CommandOf<'shipStock'>, product: ListedProduct): Outcome {
  const quantity = reservedFor(product.reservations, orderId);
  if (quantity === undefined) return [];
  const onHand = product.onHand - quantity;
  const reserved = product.reserved - quantity;
  return [create(StockShippedSchema, { orderId, quantity, onHand, reserved, shippedAt: BigInt(at) })];
}

function isQuantity(quantity: number): boolean {
  return Number.isInteger(quantity) && quantity >= 1 && quantity <= MAX_QUANTITY;
}

/** Refuses whatever would bring a discontinued product back. */
export const DISCONTINUED = rejected(
  'product/discontinued',
  'This product is discontinued; list another one.',
);
const INVALID_QUANTITY = rejected(
  'product/invalid-quantity',
  'Give a whole quantity from 1 to 1,000,000,000.',
);
