import { createHash } from 'node:crypto';
import type { Projection } from '../projection.ts';

/** What rows are compared by: texts by their code points, integers by size. */
export type IndexValue = string | number;

/** What a column holds: a text, an integer, or any number of texts, by each of which the row is found. */
export type IndexColumn = 'text' | 'integer' | 'texts';

/** What a row is found by: what each column holds, as far as the row has it. */
export type IndexEntry = Readonly<Record<string, IndexValue | readonly string[] | undefined>>;

/**
 * A list over the rows of a view: those whose columns `equal` have the asked values, in the order of the column `sort`,
 * which holds no several texts, and then of their keys. A row that lacks one of the columns is not in it.
 */
export interface IndexList {
  readonly equal: readonly string[];
  readonly sort: string;
  readonly descending?: boolean;
}

/**
 * Which rows of a view are found by what: each list costs memory and time for every row that is in it, so only what is
 * asked for has one. One object per index.
 */
export interface ViewIndex<Row = unknown> {
  readonly view: Projection;
  /** Needed where it is not the only one of its view: its files are found by it. The view's name unless given. */
  readonly name?: string;
  /** Raised by hand when `entryOf` changes its meaning. */
  readonly version: number;
  readonly columns: Readonly<Record<string, IndexColumn>>;
  readonly lists: readonly IndexList[];
  /**
   * What a row is found by; undefined where it is in no list. Looks at nothing outside its arguments.
   * @param digest stands for personal text, which must not be in an entry: entries lie in files
   */
  entryOf(row: Row, key: string, digest: Digest): IndexEntry | undefined;
}

/** By which its files are found. */
export function nameOfIndex({ name, view }: Pick<ViewIndex, 'name' | 'view'>): string {
  return name ?? view.name;
}

/** A text that stands for another one, the same for equal ones. */
export type Digest = (text: string) => string;

/** What stands between the rows of views and plain text. */
export interface RowPrivacy {
  /** The same rows with their personal text made plain, in their order. */
  open(rows: readonly Uint8Array[]): Promise<readonly Uint8Array[]>;
  /** The same for rows of a list, none of which holds up the others: one that cannot be opened says `unreadable: true`. */
  openListed(rows: readonly Uint8Array[]): Promise<readonly Uint8Array[]>;
  /** Keyed, so that nobody without the key can try texts. */
  readonly digest: Digest;
  /** Another text when entries that were made before must not be used any more. */
  stamp(): Promise<string>;
}

/** Rows that are plain as they are, and entries that may hold what is in them. */
export const plainRows: RowPrivacy = {
  open: async (rows) => rows,
  openListed: async (rows) => rows,
  digest: (text) => text,
  stamp: async () => '',
};

/** Where a row stands in a list: the values that it is found by, and what it is sorted by there. */
export interface IndexPlace {
  readonly equal: readonly IndexValue[];
  readonly sort: IndexValue;
}

/** All places of a row in a list: one for each of several values. */
export function placesIn({ equal, sort }: IndexList, entry: IndexEntry): readonly IndexPlace[] {
  let found: readonly (readonly IndexValue[])[] = [[]];
  for (const column of equal) {
    const values = valuesOf(entry[column]);
    found = found.flatMap((before) => values.map((value) => [...before, value]));
  }
  const value = entry[sort];
  if (value === undefined || typeof value === 'object') return [];
  return found.map((values) => ({ equal: values, sort: value }));
}

function valuesOf(value: IndexEntry[string]): readonly IndexValue[] {
  if (value === undefined) return [];
  return typeof value === 'object' ? [...new Set(value)] : [value];
}

/** The list that answers exactly this; undefined where none does. @param equal in any order */
export function listFor(
  lists: readonly IndexList[],
  wanted: { readonly equal: readonly string[]; readonly sort: string },
): IndexList | undefined {
  const columns = [...wanted.equal].sort().join();
  return lists.find(({ equal, sort }) => sort === wanted.sort && [...equal].sort().join() === columns);
}

/** Changes whenever entries that were made before mean something else. */
export function versionOfIndex(
  { version, columns, lists }: ViewIndex,
  viewVersion: string,
  stamp: string,
): string {
  const shape = JSON.stringify([version, columns, lists, viewVersion, stamp]);
  return createHash('sha256').update(shape).digest('hex').slice(0, 16);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a key is a UUID, which takes less than half of the room as bytes. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The order of rows with the same sort value: UUIDs behind all others, and both by their code points. */
export function compareKeys(a: string, b: string): number {
  return Number(isUuid(a)) - Number(isUuid(b)) || compareValues(a, b);
}

/** The order of a column. */
export function compareValues(a: IndexValue, b: IndexValue): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

const [LAST, SURROGATES, AFTER_SURROGATES] = [0x10ffff, 0xd7ff, 0xe000];

/** The first text behind all that begin like this; undefined when there is none. */
export function behindPrefix(prefix: string): string | undefined {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === LAST) continue;
    return String.fromCodePoint(...points, last === SURROGATES ? AFTER_SURROGATES : last + 1);
  }
  return undefined;
}
