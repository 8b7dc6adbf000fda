import { emptyKeyMap, type KeyMap, type PackedKeys, packKeys, putKey, unpackKeys } from './key-map.ts';

/** What was booked on a product's stock, each paper once and for ever. */
export interface StockBook {
  /** Quantity by receipt id. */
  readonly receipts: KeyMap<bigint>;
  /** What was asked for by correction id, such as `loss 3`. */
  readonly corrections: KeyMap<string>;
}

/** Of a product that was just listed. */
export const emptyBook: StockBook = {
  receipts: emptyKeyMap,
  corrections: emptyKeyMap,
};

/** With a receipt. */
export function bookReceipt(book: StockBook, receiptId: string, quantity: bigint): StockBook {
  return { ...book, receipts: putKey(book.receipts, receiptId, quantity) };
}

/** With a correction, as `askedFor` writes it. */
export function bookCorrection(book: StockBook, correctionId: string, asked: string): StockBook {
  return { ...book, corrections: putKey(book.corrections, correctionId, asked) };
}

/** A correction as the book holds it. */
export function askedFor({ kind, quantity }: { readonly kind: string; readonly quantity: bigint }): string {
  return `${kind} ${quantity}`;
}

/** A book as few bytes. */
export interface PackedBook {
  readonly receipts: PackedKeys<bigint>;
  readonly corrections: PackedKeys<string>;
}

/** What a snapshot holds of it. */
export function packBook({ receipts, corrections }: StockBook): PackedBook {
  return { receipts: packKeys(receipts), corrections: packKeys(corrections) };
}

/** The book in a snapshot. */
export function unpackBook({ receipts, corrections }: PackedBook): StockBook {
  return {
    receipts: unpackKeys(receipts),
    corrections: unpackKeys(corrections),
  };
}
