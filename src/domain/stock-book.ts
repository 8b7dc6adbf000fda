import {
  addKey,
  emptyKeyMap,
  emptyKeySet,
  hasKey,
  type KeyMap,
  type KeySet,
  type PackedKeys,
  packKeys,
  putKey,
  unpackKeys,
} from './key-map.ts';

/** What was booked on a product's stock, each paper once and for ever. */
export interface StockBook {
  /** Quantity by receipt id. */
  readonly receipts: KeyMap<bigint>;
  /** What was asked for by correction id, such as `loss 3`. */
  readonly corrections: KeyMap<string>;
  /** The orders whose goods came back. */
  readonly returns: KeySet;
}

/** Of a product that was just listed. */
export const emptyBook: StockBook = {
  receipts: emptyKeyMap,
  corrections: emptyKeyMap,
  returns: emptyKeySet,
};

/** With a receipt. */
export function bookReceipt(book: StockBook, receiptId: string, quantity: bigint): StockBook {
  return { ...book, receipts: putKey(book.receipts, receiptId, quantity) };
}

/** With a correction, as `askedFor` writes it. */
export function bookCorrection(book: StockBook, correctionId: string, asked: string): StockBook {
  return { ...book, corrections: putKey(book.corrections, correctionId, asked) };
}

/** With the goods of an order that came back. */
export function bookReturn(book: StockBook, orderId: string): StockBook {
  return { ...book, returns: addKey(book.returns, orderId) };
}

/** Whether the goods of an order came back. */
export function isReturned({ returns }: StockBook, orderId: string): boolean {
  return hasKey(returns, orderId);
}

/** A correction as the book holds it. */
export function askedFor({ kind, quantity }: { readonly kind: string; readonly quantity: bigint }): string {
  return `${kind} ${quantity}`;
}

/** A book as few bytes. */
export interface PackedBook {
  readonly receipts: PackedKeys<bigint>;
  readonly corrections: PackedKeys<string>;
  readonly returns: PackedKeys<true>;
}

/** What a snapshot holds of it. */
export function packBook({ receipts, corrections, returns }: StockBook): PackedBook {
  return { receipts: packKeys(receipts), corrections: packKeys(corrections), returns: packKeys(returns) };
}

/** The book in a snapshot. */
export function unpackBook({ receipts, corrections, returns }: PackedBook): StockBook {
  return {
    receipts: unpackKeys(receipts),
    corrections: unpackKeys(corrections),
    returns: unpackKeys(returns),
  };
}
