import { create, type MessageShape } from '@bufbuild/protobuf';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
  StockReceivedSchema,
} from '../gen/jetledger/product/v1/product_pb.ts';
import { type Decider, type Rejection, rejected, type Timed } from './decider.ts';
import { isReceiptId } from './ids.ts';
import { emptyKeyMap, getKey, type KeyMap, putKey } from './key-map.ts';
import { isCurrency, isPrice } from './money.ts';
import { isSku } from './sku.ts';
import { normaliseName } from './text.ts';

const events = [
  ProductListedSchema,
  ProductRenamedSchema,
  ProductPriceChangedSchema,
  StockReceivedSchema,
  ProductDiscontinuedSchema,
] as const;

/** What can happen to a product. */
export type ProductEvent = MessageShape<(typeof events)[number]>;

/** The most pieces that one receipt may bring. */
export const MAX_RECEIPT_QUANTITY = 1_000_000_000;

// Stock stays an exact integer for every JSON reader.
const MAX_STOCK = BigInt(Number.MAX_SAFE_INTEGER);

/** What can be asked of a product. Prices are minor units of the currency, which is fixed by the listing. */
export type ProductCommand =
  | Timed<{ type: 'list'; sku: string; name: string; priceMinor: bigint; currency: string }>
  /** What is given changes, all at once or not at all. */
  | Timed<{ type: 'change'; name?: string; priceMinor?: bigint; discontinue?: boolean }>
  /** `receiptId` is the delivery's own key: the same receipt never counts twice. */
  | Timed<{ type: 'receiveStock'; receiptId: string; quantity: number }>;

type CommandOf<Type extends ProductCommand['type']> = Extract<ProductCommand, { type: Type }>;

export interface ProductRejection extends Rejection {
  readonly code:
    | 'product/not-found'
    | 'product/exists'
    | 'product/discontinued'
    /** Details: `quantity`, what was received under this receipt before. */
    | 'product/receipt-conflict'
    | 'product/stock-overflow'
    | 'product/invalid-sku'
    | 'product/invalid-name'
    | 'product/invalid-price'
    | 'product/invalid-receipt'
    | 'product/invalid-quantity'
    | 'product/unknown-currency';
}

interface Offer {
  readonly name: string;
  readonly priceMinor: bigint;
  readonly currency: string;
}

/** A product that was listed. `onHand` is what is in the warehouse; what is promised to orders does not lower it. */
export interface ListedProduct extends Offer {
  readonly status: 'listed' | 'discontinued';
  /** As it was first listed: the same listing again is a repetition, whatever has changed since. */
  readonly firstOffer: Offer;
  readonly onHand: bigint;
  /** Quantity by receipt id, for ever. */
  readonly receipts: KeyMap<bigint>;
}

export type ProductState = { readonly status: 'absent' } | ListedProduct;

const initial: ProductState = { status: 'absent' };

function evolve(state: ProductState, event: ProductEvent): ProductState {
  if (event.$typeName === 'jetledger.product.v1.ProductListed') {
    const { name, priceMinor, currency } = event;
    const offer: Offer = { name, priceMinor, currency };
    return { status: 'listed', ...offer, firstOffer: offer, onHand: 0n, receipts: emptyKeyMap };
  }
  if (state.status === 'absent') return state;
  switch (event.$typeName) {
    case 'jetledger.product.v1.ProductRenamed':
      return { ...state, name: event.name };
    case 'jetledger.product.v1.ProductPriceChanged':
      return { ...state, priceMinor: event.priceMinor };
    case 'jetledger.product.v1.StockReceived': {
      const { receiptId, quantity, onHand } = event;
      return { ...state, onHand, receipts: putKey(state.receipts, receiptId, quantity) };
    }
    case 'jetledger.product.v1.ProductDiscontinued':
      return { ...state, status: 'discontinued' };
    default:
      event satisfies never;
      return state;
  }
}

type Outcome = readonly ProductEvent[] | ProductRejection;

function decide(command: ProductCommand, state: ProductState): Outcome {
  if (command.type === 'list') return list(command, state);
  if (state.status === 'absent')
    return rejected('product/not-found', 'There is no such product; list it first.');
  switch (command.type) {
    case 'change':
      return change(command, state);
    case 'receiveStock':
      return receiveStock(command, state);
  }
}

function list(command: CommandOf<'list'>, state: ProductState): Outcome {
  const { sku, priceMinor, currency, at } = command;
  const name = normaliseName(command.name);
  if (state.status !== 'absent') {
    const first = state.firstOffer;
    return first.name === name && first.priceMinor === priceMinor && first.currency === currency
      ? []
      : rejected('product/exists', 'A product with this SKU exists; change it, or list under another SKU.');
  }
  if (!isSku(sku)) {
    return rejected('product/invalid-sku', 'Give a SKU of 1 to 64 capital letters, digits and hyphens.');
  }
  if (name === undefined) return INVALID_NAME;
  if (!isPrice(priceMinor)) return INVALID_PRICE;
  if (!isCurrency(currency)) {
    return rejected('product/unknown-currency', 'Give an active ISO 4217 currency code such as EUR.');
  }
  return [create(ProductListedSchema, { sku, name, priceMinor, currency, listedAt: BigInt(at) })];
}

function change(command: CommandOf<'change'>, product: ListedProduct): Outcome {
  const name = command.name === undefined ? product.name : normaliseName(command.name);
  const priceMinor = command.priceMinor ?? product.priceMinor;
  if (name === undefined) return INVALID_NAME;
  if (!isPrice(priceMinor)) return INVALID_PRICE;
  const renamed = name !== product.name;
  const repriced = priceMinor !== product.priceMinor;
  const discontinued = product.status === 'discontinued';
  if (discontinued && (renamed || repriced)) return DISCONTINUED;

  const at = BigInt(command.at);
  const { priceMinor: previousPriceMinor, currency } = product;
  const changes: ProductEvent[] = [];
  if (renamed) changes.push(create(ProductRenamedSchema, { name, renamedAt: at }));
  if (repriced) {
    const price = { priceMinor, previousPriceMinor, currency };
    changes.push(create(ProductPriceChangedSchema, { ...price, changedAt: at }));
  }
  if (command.discontinue === true && !discontinued) {
    changes.push(create(ProductDiscontinuedSchema, { discontinuedAt: at }));
  }
  return changes;
}

function receiveStock(command: CommandOf<'receiveStock'>, product: ListedProduct): Outcome {
  const { receiptId, at } = command;
  if (!isReceiptId(receiptId)) {
    return rejected(
      'product/invalid-receipt',
      'Give a receipt id of 1 to 100 printable ASCII characters without blanks.',
    );
  }
  if (
    !(Number.isInteger(command.quantity) && command.quantity >= 1 && command.quantity <= MAX_RECEIPT_QUANTITY)
  ) {
    return rejected('product/invalid-quantity', 'Give a whole quantity from 1 to 1,000,000,000.');
  }
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

const DISCONTINUED = rejected('product/discontinued', 'This product is discontinued; list another one.');
const INVALID_NAME = rejected('product/invalid-name', 'Give a name of 1 to 200 characters on one line.');
const INVALID_PRICE = rejected(
  'product/invalid-price',
  'Give a price in minor units, a whole number from 1 to 9,007,199,254,740,991.',
);

/** An article for sale, its price and its stock. Its id is the SKU, and a SKU is never used for a second article. */
export const product: Decider<ProductState, ProductCommand, ProductEvent, ProductRejection> = {
  category: 'product',
  events,
  initial,
  evolve,
  decide,
};
