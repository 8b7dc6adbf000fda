declare const brand: unique symbol;

/**
 * A place in the log, opaque: only this module compares and computes with it, so that a log may one day be made of
 * several streams. It is a number as it runs and as it is stored; to the compiler it is a symbol, which refuses `<`, `+`
 * and templates.
 */
export type Position = symbol & { readonly [brand]: true };

const toPosition = (number: number): Position => number as unknown as Position;
const toNumber = (position: Position): number => position as unknown as number;

/** A position out of the number that is stored, sent or given for it; 0 is before the first commit. */
export const positionOf: (number: number) => Position = toPosition;

/** The number that is stored, sent and shown for a position; to be passed on and not to be compared. */
export const numberOf: (position: Position) => number = toNumber;

/** Before the first commit. */
export const BEGINNING: Position = toPosition(0);

/** The position of the message with a sequence of the log's stream. */
export const positionAt: (sequence: number) => Position = toPosition;

/** The sequence of a position in the log's stream. */
export const sequenceOf: (position: Position) => number = toNumber;

/** The version that an aggregate has with its commit at a position. */
export const versionAt: (position: Position) => number = toNumber;

/** Where the commit lies that made a version. */
export const positionOfVersion: (version: number) => Position = toPosition;

/** Whether `position` lies behind `other`. */
export function isAfter(position: Position, other: Position): boolean {
  return toNumber(position) > toNumber(other);
}

/** Negative, 0 or positive: the order of the log, for sorting. */
export function comparePositions(a: Position, b: Position): number {
  return toNumber(a) - toNumber(b);
}

/** The later one of two. */
export function latest(a: Position, b: Position): Position {
  return isAfter(a, b) ? a : b;
}

/** The earlier one of two. */
export function earliest(a: Position, b: Position): Position {
  return isAfter(a, b) ? b : a;
}

/** So many positions before one: with 1, where to begin so that it comes next. */
export function before(position: Position, count = 1): Position {
  return toPosition(Math.max(0, toNumber(position) - count));
}

/** So many positions after one. */
export function ahead(position: Position, count: number): Position {
  return toPosition(toNumber(position) + count);
}

/** The middle of two, the later one where there is none between them: for halving. */
export function between(low: Position, high: Position): Position {
  return toPosition(Math.ceil((toNumber(low) + toNumber(high)) / 2));
}

/** How many positions `to` lies behind `from`; 0 when it does not. */
export function distance(from: Position, to: Position): number {
  return Math.max(0, toNumber(to) - toNumber(from));
}
