import { create, type MessageShape } from '@bufbuild/protobuf';
import type { Decider, Rejection, Sections } from '../eventstore/index.ts';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
  StockCorrectedSchema,
  StockReceivedSchema,
  StockReleasedSchema,
  StockReservedSchema,
  StockReturnedSchema,
  StockShippedSchema,
} from '../gen/jetledger/product/v1/product_pb.ts';
import { getKey, type PackedKeys } from './key-map.ts';
import {
  endReservation,
  isEnded,
  noReservations,
  openReservation,
  type PackedReservations,
  packReservations,
  type Reservations,
  reservedFor,
  unpackReservations,
} from './reservations.ts';
import { countSections, lackingFor, putSection, takeSection } from './sectioned-map.ts';
import {
  askedFor,
  bookCorrection,
  bookReceipt,
  bookReturn,
  emptyBook,
  isReturned,
  type PackedBook,
  packBook,
  type StockBook,
  unpackBook,
} from './stock-book.ts';
import {
  isCurrency,
  isPaperId,
  isPrice,
  isSku,
  normaliseGivenReason,
  normaliseName,
  rejected,
  type Timed,
} from './values.ts';

/** The schemas of everything that can happen to a product. */
export const productEvents = [
  ProductListedSchema,
  ProductRenamedSchema,
  ProductPriceChangedSchema,
  StockReceivedSchema,
  StockReservedSchema,
  StockReleasedSchema,
  StockShippedSchema,
  StockCorrectedSchema,
  StockReturnedSchema,
  ProductDiscontinuedSchema,
] as const;

/** What can happen to a product. */
export type ProductEvent = MessageShape<(typeof productEvents)[number]>;

/** As a product is sold. The price is in minor units, the currency ISO 4217. */
export interface Offer {
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
  /** The sum of the open reservations; never more than `onHand`. */
  readonly reserved: bigint;
  readonly reservations: Reservations;
  readonly book: StockBook;
}

export type ProductState = { readonly status: 'absent' } | ListedProduct;

/** Before the first event. */
export const noProduct: ProductState = { status: 'absent' };

/** What a product is after an event; total. */
export function evolveProduct(state: ProductState, event: ProductEvent): ProductState {
  if (event.$typeName === 'jetledger.product.v1.ProductListed') {
    const { name, priceMinor, currency } = event;
    const offer: Offer = { name, priceMinor, currency };
    const stock = { onHand: 0n, reserved: 0n, reservations: noReservations, book: emptyBook };
    return { status: 'listed', ...offer, firstOffer: offer, ...stock };
  }
  if (state.status === 'absent') return state;
  switch (event.$typeName) {
    case 'jetledger.product.v1.ProductRenamed':
      return { ...state, name: event.name };
    case 'jetledger.product.v1.ProductPriceChanged':
      return { ...state, priceMinor: event.priceMinor };
    case 'jetledger.product.v1.ProductDiscontinued':
      return { ...state, status: 'discontinued' };
    default:
      return evolveStock(state, event);
  }
}

type OfferEvent = Extract<ProductEvent, { $typeName: `jetledger.product.v1.Product${string}` }>;

function evolveStock(state: ListedProduct, event: Exclude<ProductEvent, OfferEvent>): ListedProduct {
  const { reservations, book } = state;
  switch (event.$typeName) {
    case 'jetledger.product.v1.StockReceived': {
      const { receiptId, quantity, onHand } = event;
      return { ...state, onHand, book: bookReceipt(book, receiptId, quantity) };
    }
    case 'jetledger.product.v1.StockReserved': {
      const { orderId, quantity, reserved } = event;
      return { ...state, reserved, reservations: openReservation(reservations, orderId, quantity) };
    }
    case 'jetledger.product.v1.StockReleased': {
      const { orderId, reserved } = event;
      return { ...state, reserved, reservations: endReservation(reservations, orderId) };
    }
    case 'jetledger.product.v1.StockShipped': {
      const { orderId, onHand, reserved } = event;
      return { ...state, onHand, reserved, reservations: endReservation(reservations, orderId) };
    }
    case 'jetledger.product.v1.StockCorrected': {
      const { correctionId, onHand } = event;
      return { ...state, onHand, book: bookCorrection(book, correctionId, askedFor(event)) };
    }
    case 'jetledger.product.v1.StockReturned':
      return { ...state, onHand: event.onHand, book: bookReturn(book, event.orderId) };
    default:
      event satisfies never;
      return state;
  }
}

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
  | Timed<{ type: 'shipStock'; orderId: string }>
  /** What was shipped for an order is on hand again. Commutes with the shipping, which may come late. */
  | Timed<{ type: 'returnStock'; orderId: string; quantity: number }>
  /** `correctionId` is the correction's own key. A count says how many pieces are there, a loss how many are gone. */
  | Timed<{
      type: 'correctStock';
      correctionId: string;
      kind: 'count' | 'loss';
      quantity: number;
      reason: string;
    }>;

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
    | 'product/reservation-released'
    | 'product/invalid-correction'
    | 'product/invalid-reason'
    | 'product/correction-conflict'
    /** Details: `reserved`, how many pieces are promised to orders. */
    | 'product/below-reserved';
}

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
    case 'returnStock':
      return takeBack(command, product);
    case 'correctStock':
      return correct(command, product);
  }
}

function receive(command: CommandOf<'receiveStock'>, product: ListedProduct): Outcome {
  const { receiptId, at } = command;
  if (!isPaperId(receiptId)) {
    return rejected(
      'product/invalid-receipt',
      'Give a receipt id of 1 to 100 printable ASCII characters without blanks.',
    );
  }
  if (!isQuantity(command.quantity)) return INVALID_QUANTITY;
  const quantity = BigInt(command.quantity);
  const before = getKey(product.book.receipts, receiptId);
  if (before === quantity) return [];
  if (before !== undefined) {
    const message =
      'This receipt was booked with another quantity; use a new receipt id for another delivery.';
    return { code: 'product/receipt-conflict', message, details: { quantity: Number(before) } };
  }
  if (product.status === 'discontinued') return DISCONTINUED;
  const onHand = product.onHand + quantity;
  if (onHand > MAX_STOCK) return OVERFLOW;
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

function takeBack(command: CommandOf<'returnStock'>, product: ListedProduct): Outcome {
  const { orderId, at } = command;
  if (!isQuantity(command.quantity)) return INVALID_QUANTITY;
  if (isReturned(product.book, orderId)) return [];
  const quantity = BigInt(command.quantity);
  const onHand = product.onHand + quantity;
  if (onHand > MAX_STOCK) return OVERFLOW;
  return [create(StockReturnedSchema, { orderId, quantity, onHand, returnedAt: BigInt(at) })];
}

/** Also of a discontinued product: what is left of it can be lost and counted. */
function correct(command: CommandOf<'correctStock'>, product: ListedProduct): Outcome {
  const { correctionId, kind, at } = command;
  if (!isPaperId(correctionId)) return INVALID_CORRECTION;
  const reason = normaliseGivenReason(command.reason);
  if (reason === undefined) return INVALID_REASON;
  if (!(Number.isSafeInteger(command.quantity) && command.quantity >= (kind === 'count' ? 0 : 1))) {
    return rejected(
      'product/invalid-quantity',
      'Give a whole quantity: 0 or more for a count, 1 or more for a loss.',
    );
  }
  const quantity = BigInt(command.quantity);
  const before = getKey(product.book.corrections, correctionId);
  if (before === askedFor({ kind, quantity })) return [];
  if (before !== undefined) return CORRECTION_CONFLICT;
  const onHand = kind === 'count' ? quantity : product.onHand - quantity;
  if (onHand < product.reserved) {
    const message =
      onHand < 0n
        ? 'So many pieces are not on hand; count them and send the count.'
        : 'More is promised to orders than would be on hand; cancel or refund some of them first.';
    return rejected('product/below-reserved', message, { reserved: Number(product.reserved) });
  }
  const correction = { correctionId, kind, quantity, change: onHand - product.onHand, onHand, reason };
  return [create(StockCorrectedSchema, { ...correction, correctedAt: BigInt(at) })];
}

const INVALID_CORRECTION = rejected(
  'product/invalid-correction',
  'Give a correction id of 1 to 100 printable ASCII characters without blanks.',
);
const INVALID_REASON = rejected(
  'product/invalid-reason',
  'Say why, in 1 to 500 characters on one line, none that turns the direction of writing.',
);
const CORRECTION_CONFLICT = rejected(
  'product/correction-conflict',
  'Another correction was booked under this id; use a new id for another one.',
);

function isQuantity(quantity: number): boolean {
  return Number.isInteger(quantity) && quantity >= 1 && quantity <= MAX_QUANTITY;
}

/** Refuses whatever would bring a discontinued product back. */
export const DISCONTINUED = rejected(
  'product/discontinued',
  'This product is discontinued; list another one.',
);
const OVERFLOW = rejected(
  'product/stock-overflow',
  'The stock would exceed what can be counted exactly; receive less.',
);
const INVALID_QUANTITY = rejected(
  'product/invalid-quantity',
  'Give a whole quantity from 1 to 1,000,000,000.',
);

/** What can be asked of a product. Prices are minor units of the currency, which is fixed by the listing. */
export type ProductCommand =
  | Timed<{ type: 'list'; sku: string; name: string; priceMinor: bigint; currency: string }>
  /** What is given changes, all at once or not at all. A currency says in which the price is meant: the listing's. */
  | Timed<{ type: 'change'; name?: string; priceMinor?: bigint; currency?: string; discontinue?: boolean }>
  | StockCommand;

type CommandOf<Type extends ProductCommand['type']> = Extract<ProductCommand, { type: Type }>;

interface OfferRejection extends Rejection {
  readonly code:
    | 'product/not-found'
    | 'product/exists'
    | 'product/invalid-sku'
    | 'product/invalid-name'
    | 'product/invalid-price'
    | 'product/unknown-currency';
}

export type ProductRejection = OfferRejection | StockRejection;

type Outcome = readonly ProductEvent[] | ProductRejection;

function decide(command: ProductCommand, state: ProductState): Outcome {
  if (command.type === 'list') return list(command, state);
  if (state.status === 'absent')
    return rejected('product/not-found', 'There is no such product; list it first.');
  return command.type === 'change' ? change(command, state) : decideStock(command, state);
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
  if ((command.currency ?? product.currency) !== product.currency) return OTHER_CURRENCY;
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

const INVALID_NAME = rejected(
  'product/invalid-name',
  'Give a name of 1 to 200 characters on one line, some of them visible, none that turns the direction of writing.',
);
const INVALID_PRICE = rejected(
  'product/invalid-price',
  'Give a price in minor units, a whole number from 1 to 9,007,199,254,740,991.',
);
const OTHER_CURRENCY = rejected(
  'product/invalid-price',
  'Give the price in the currency of the product, which was fixed when it was listed.',
);

/** What a snapshot holds of a product; the same fields, packed where they are large. */
type ProductHead =
  | Extract<ProductState, { status: 'absent' }>
  | (Omit<ListedProduct, 'reservations' | 'book'> & {
      readonly reservations: PackedReservations;
      readonly book: PackedBook;
    });

/** A product is as quick to load with 100,000 open reservations as with some: a command reads those of its order's section. */
const sections: Sections<ProductState, ProductCommand> = {
  generationOf: (state) => (state.status === 'absent' ? 0 : state.reservations.open.generation),
  countIn: (state) => (state.status === 'absent' ? 0 : countSections(state.reservations.open)),
  head: (state): ProductHead => {
    if (state.status === 'absent') return state;
    const { reservations, book } = state;
    return { ...state, reservations: packReservations(reservations), book: packBook(book) };
  },
  fromHead: (stored) => {
    // The snapshot's key names the fold that made it.
    const head = stored as ProductHead;
    if (head.status === 'absent') return head;
    const { reservations, book } = head;
    return { ...head, reservations: unpackReservations(reservations), book: unpackBook(book) };
  },
  take: (state, index) =>
    state.status === 'absent' ? undefined : takeSection(state.reservations.open, index),
  put: (state, index, section) => {
    if (state.status === 'absent') return state;
    const open = putSection(state.reservations.open, index, section as PackedKeys<bigint>);
    return { ...state, reservations: { ...state.reservations, open } };
  },
  missing: (state, command) =>
    state.status === 'absent' || !('orderId' in command)
      ? undefined
      : lackingFor(state.reservations.open, command.orderId),
};

/** An article for sale, its price and its stock. Its id is the SKU, and a SKU is never used for a second article. */
export const product: Decider<ProductState, ProductCommand, ProductEvent, ProductRejection> = {
  category: 'product',
  events: productEvents,
  initial: noProduct,
  foldRevision: 1,
  evolve: evolveProduct,
  sections,
  decide,
};
