import { createHash } from 'node:crypto';
import { isAfter, type Row, type Runtime } from '../../../eventstore/index.ts';
import {
  InvalidCursor,
  ListNotBuilt,
  type Page,
  type PageRequest,
  type ReadOptions,
  ViewBehind,
} from '../reading.ts';
import { parseRow } from '../rows.ts';
import { DEFAULT_WAIT_MS, type ViewAccess } from '../view-access.ts';
import { IndexDamaged } from './index-errors.ts';
import type { FoundRow, IndexQuery, StoredIndex } from './index-store.ts';
import { type Indexer, positionOfIndex } from './indexer.ts';
import { type IndexList, type IndexValue, placesIn, type RowPrivacy, type ViewIndex } from './view-index.ts';

/** A place in a list: the index that the page before ended with, or the row, with what it is sorted by. */
export type ListPlace = number | readonly [sort: IndexValue, key: string];

/** What a cursor belongs to: the list, and the incarnation of the log that its places come from. @internal */
export interface CursorScope {
  readonly list: string;
  readonly incarnation: string;
}

/** A place as an opaque token of a URL. @internal */
export function encodeCursor(scope: CursorScope, place: ListPlace): string {
  return Buffer.from(JSON.stringify([scope.list, scope.incarnation, place])).toString('base64url');
}

/** The row that a cursor of this list holds; undefined without a cursor. @throws InvalidCursor */
export function rowOfCursor(scope: CursorScope, cursor: string | undefined): FoundRow | undefined {
  const place = decode(scope, cursor);
  if (place === undefined) return undefined;
  if (!Array.isArray(place) || place.length !== 2) throw new InvalidCursor();
  const [sort, key] = place as unknown[];
  if (typeof key !== 'string' || (typeof sort !== 'string' && typeof sort !== 'number'))
    throw new InvalidCursor();
  return { sort, key };
}

/**
 * The index, 1 or more, that a cursor of this list holds; undefined without a cursor. @throws InvalidCursor
 * @internal
 */
export function indexOfCursor(scope: CursorScope, cursor: string | undefined): number | undefined {
  const place = decode(scope, cursor);
  if (place === undefined) return undefined;
  if (typeof place !== 'number' || !Number.isSafeInteger(place) || place < 1) throw new InvalidCursor();
  return place;
}

function decode(scope: CursorScope, cursor: string | undefined): unknown {
  if (cursor === undefined) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw new InvalidCursor();
  }
  if (!Array.isArray(parts) || parts.length !== 3) throw new InvalidCursor();
  const [list, incarnation, place] = parts as unknown[];
  if (list !== scope.list || incarnation !== scope.incarnation) throw new InvalidCursor();
  return place;
}

/** The most that a page holds, in bytes of its rows; the rest is for the next page. One row always fits. */
export const PAGE_BYTES = 1_048_576;
/** Rows that are read at once before anything is known of their size. */
const FIRST_ROWS = 32;

/**
 * Reads the rows of a page, in order, until it is full: as many at once as will probably fit.
 * @returns a row for each of the first keys, as many as there is room for
 * @internal
 */
export async function readRows<Key, Found>(
  keys: readonly Key[],
  read: (key: Key) => Promise<Found>,
  bytesOf: (row: Found) => number,
): Promise<Found[]> {
  const rows: Found[] = [];
  let bytes = 0;
  for (let count = FIRST_ROWS; rows.length < keys.length; ) {
    for (const row of await Promise.all(keys.slice(rows.length, rows.length + count).map(read))) {
      bytes += bytesOf(row);
      if (bytes > PAGE_BYTES && rows.length > 0) return rows;
      rows.push(row);
    }
    count = Math.max(1, Math.floor(((PAGE_BYTES - bytes) * rows.length) / Math.max(1, bytes)));
  }
  return rows;
}

/** A part of a list of an index. */
export interface ListQuery<Row = unknown> {
  /** One of the index's lists. */
  readonly list: IndexList;
  /** The value of each of its columns. */
  readonly equal: Readonly<Record<string, IndexValue>>;
  /** The least value that it is sorted by. */
  readonly from?: IndexValue | undefined;
  /** Only values that it is sorted by below this one. */
  readonly below?: IndexValue | undefined;
  /** What the index cannot tell; rows that it leaves out make a page shorter. Named by `about` in cursors. */
  readonly filter?: { readonly about: string; passes(row: Row): boolean } | undefined;
}

/** Pages over the rows of a view in the order of a list of an index. */
export interface IndexPages {
  /**
   * A page of a list. A row is shown when it is still at the place where the index had it. So what stays at its place
   * comes once, whatever is written meanwhile.
   * @throws InvalidCursor, ViewBehind, ListNotBuilt, LogUnavailable
   */
  page(query: ListQuery, request: PageRequest): Promise<Page>;
  /** Whether the index has any row there, as it stands. @throws as `page` */
  holds(query: ListQuery, request: ReadOptions): Promise<boolean>;
  stop(): void;
}

const PAUSE_MS = 5;

export function createIndexPages(deps: {
  readonly index: ViewIndex;
  readonly indexer: Indexer;
  readonly access: ViewAccess;
  readonly privacy: RowPrivacy;
  readonly incarnation: string;
  readonly runtime: Runtime;
}): IndexPages {
  const { index, indexer, access, incarnation, runtime } = deps;
  const view = index.view.name;

  /** The index comes a little after the bucket. */
  const indexAt = async (
    { minPosition, waitMs = DEFAULT_WAIT_MS }: PageRequest,
    since: number,
  ): Promise<StoredIndex> => {
    for (;;) {
      const stored = indexer.serving();
      const reached = stored && positionOfIndex(stored);
      if (
        stored !== undefined &&
        (minPosition === undefined || reached === undefined || !isAfter(minPosition, reached))
      )
        return stored;
      if (runtime.now() >= since + waitMs) {
        if (minPosition === undefined || reached === undefined) throw new ListNotBuilt(view);
        throw new ViewBehind(view, minPosition, reached);
      }
      indexer.storeNow();
      await runtime.sleep(PAUSE_MS);
    }
  };

  const find = async (query: Omit<IndexQuery, 'limit'>, request: PageRequest, since: number) => {
    for (;;) {
      const stored = await indexAt(request, since);
      const position = positionOfIndex(stored);
      try {
        return { position, found: await stored.find({ ...query, limit: request.limit + 1 }) };
      } catch (error) {
        if (!(error instanceof IndexDamaged)) throw error;
        // Another one answers since a switch.
        if (indexer.serving() !== stored) continue;
        await indexer.discard(stored);
        throw new ListNotBuilt(view, error);
      }
    }
  };

  return {
    page: async (query, request) => {
      const { limit, minPosition } = request;
      const scope = { list: nameOf(view, index, query), incarnation };
      const behind = rowOfCursor(scope, request.cursor);
      const since = runtime.now();
      const live = await access.bucket(request);
      if (live === undefined) return { items: [] };
      const { position, found } = await find({ ...partOf(index, query), behind }, request, since);
      const leader = minPosition !== undefined;
      const rows = await readRows(
        found.slice(0, limit),
        ({ key }) => live.bucket.get(key, { leader }),
        (row) => row?.value.length ?? 0,
      );
      const items = await shown(deps, query, rows, found);
      const last = found[rows.length - 1];
      if (found.length <= rows.length || last === undefined) return { items, position };
      return { items, position, next: encodeCursor(scope, [last.sort, last.key]) };
    },
    holds: async (query, request) => {
      if ((await access.bucket(request)) === undefined) return false;
      const { found } = await find(partOf(index, query), { ...request, limit: 0 }, runtime.now());
      return found.length > 0;
    },
    stop: () => indexer.stop(),
  };
}

/** Names what is asked for without saying it, so that no cursor is taken for one of another list. */
function nameOf(view: string, { lists }: ViewIndex, { list, equal, from, below, filter }: ListQuery): string {
  const asked = JSON.stringify([
    lists.indexOf(list),
    list.equal.map((column) => equal[column]),
    from,
    below,
    filter?.about,
  ]);
  return `${view}/${createHash('sha256').update(asked).digest('base64url').slice(0, 12)}`;
}

function partOf({ lists }: ViewIndex, { list, equal, from, below }: ListQuery): Omit<IndexQuery, 'limit'> {
  const number = lists.indexOf(list);
  if (number < 0) throw new RangeError('The list is none of the index.');
  return { list: number, equal: list.equal.map((column) => valueIn(equal, column)), from, below };
}

function valueIn(equal: ListQuery['equal'], column: string): IndexValue {
  const value = equal[column];
  if (value === undefined) throw new RangeError(`A value of ${column} is missing.`);
  return value;
}

/** The rows that are still where the index had them; one may have been changed or removed since. */
async function shown(
  { index, privacy }: { readonly index: ViewIndex; readonly privacy: RowPrivacy },
  { list, equal, filter }: ListQuery,
  rows: readonly (Row | undefined)[],
  found: readonly FoundRow[],
): Promise<readonly Uint8Array[]> {
  const there = rows.flatMap((row, i) => {
    const place = found[i];
    return row === undefined || row.value.length === 0 || place === undefined
      ? []
      : [{ value: row.value, place }];
  });
  const opened = await privacy.openListed(there.map(({ value }) => value));
  return opened.filter((value, i) => {
    const place = there[i]?.place;
    const row = parseRow(value);
    const entry = place && index.entryOf(row, place.key, privacy.digest);
    if (place === undefined || entry === undefined || filter?.passes(row) === false) return false;
    return placesIn(list, entry).some(
      (one) => one.sort === place.sort && list.equal.every((column, n) => one.equal[n] === equal[column]),
    );
  });
}
