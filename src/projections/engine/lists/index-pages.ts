import { isAfter, type Position, type Row, type Runtime } from '../../../eventstore/index.ts';
import type { LiveBucket } from '../aliases.ts';
import { InvalidCursor, type Page, type PageRequest, ViewBehind } from '../reading.ts';
import { DEFAULT_WAIT_MS, type ViewAccess } from '../view-access.ts';
import { createSortedIndex, type PlacesOf, rowKeyOf, type SortedIndex } from './sorted-index.ts';

/** A place in a list: the last key, or the index, that the page before ended with. */
export type ListPlace = string | number;

/** What a cursor belongs to: the list, and the incarnation of the log that its places come from. @internal */
export interface CursorScope {
  readonly list: string;
  readonly incarnation: string;
}

/** A place as an opaque token of a URL. @internal */
export function encodeCursor(scope: CursorScope, place: ListPlace): string {
  return Buffer.from(JSON.stringify([scope.list, scope.incarnation, place])).toString('base64url');
}

/** The string that a cursor of this list holds; undefined without a cursor. @throws InvalidCursor */
export function keyOfCursor(scope: CursorScope, cursor: string | undefined): string | undefined {
  const place = decode(scope, cursor);
  if (place !== undefined && typeof place !== 'string') throw new InvalidCursor();
  return place;
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

/** Pages over the rows of a view in the order of a sorted index, which is built at the first page and after each switch. */
export interface IndexPages {
  /**
   * A page of the places that begin with `prefix`. A row is shown when it is still at the place where the index had
   * it. Places never change their order, so what stays in a list comes once, whatever is written meanwhile.
   * @throws InvalidCursor, ViewBehind, LogUnavailable
   */
  page(list: IndexedList, request: PageRequest): Promise<Page>;
  stop(): void;
}

export interface IndexedList {
  readonly scope: CursorScope;
  readonly prefix: string;
  readonly descending?: boolean;
}

const PAUSE_MS = 5;

export function createIndexPages(deps: {
  view: string;
  access: ViewAccess;
  placesOf: PlacesOf;
  runtime: Runtime;
}): IndexPages {
  const { view, access, placesOf, runtime } = deps;
  let current: { bucket: string; index: SortedIndex } | undefined;

  const indexOf = (live: LiveBucket): SortedIndex => {
    if (current?.bucket === live.bucket.name && current.index.alive()) return current.index;
    current?.index.stop();
    current = { bucket: live.bucket.name, index: createSortedIndex(live, placesOf) };
    return current.index;
  };

  /** The watch comes a little after the bucket. */
  const waitFor = async (index: SortedIndex, minPosition: Position, end: number): Promise<void> => {
    while (index.alive() && isAfter(minPosition, index.position())) {
      if (runtime.now() >= end) throw new ViewBehind(view, minPosition, index.position());
      await runtime.sleep(PAUSE_MS);
    }
  };

  const pageOf = async (
    index: SortedIndex,
    live: LiveBucket,
    { scope, prefix, descending }: IndexedList,
    { limit, minPosition, behind, end }: PageRequest & { behind: string | undefined; end: number },
  ): Promise<Page> => {
    const leader = minPosition !== undefined;
    if (leader) await waitFor(index, minPosition, end);
    const places = await index.places();
    const found = descending
      ? places.before(prefix, behind, limit + 1)
      : places.after(prefix, behind, limit + 1);
    const rows = await readRows(
      found.slice(0, limit),
      (place) => live.bucket.get(rowKeyOf(place), { leader }),
      (row) => row?.value.length ?? 0,
    );
    const items = rows.flatMap((row, i) => (isAt(row, found[i] ?? '', placesOf) ? [row.value] : []));
    const last = found[rows.length - 1];
    return found.length > rows.length && last !== undefined
      ? { items, next: encodeCursor(scope, last) }
      : { items };
  };

  return {
    page: async ({ scope, prefix, descending = false }, request) => {
      const behind = keyOfCursor(scope, request.cursor);
      const end = runtime.now() + (request.waitMs ?? DEFAULT_WAIT_MS);
      const live = await access.bucket(request);
      if (live === undefined) return { items: [] };
      const index = indexOf(live);
      return index.use(() => pageOf(index, live, { scope, prefix, descending }, { ...request, behind, end }));
    },
    stop: () => current?.index.stop(),
  };
}

/** A row may have been removed or changed since the index saw it. */
function isAt(row: Row | undefined, place: string, placesOf: PlacesOf): row is Row {
  return row !== undefined && row.value.length > 0 && placesOf(row).includes(place);
}
