import { type Position, positionOfVersion } from '../eventstore/index.ts';
import type {
  ListQuery,
  PageRequest,
  Projection,
  ReadOptions,
  ViewIndex,
  ViewReader,
} from '../projections/engine/index.ts';

/** How fresh a row has to be; `minPosition` may be the version that a command answered. */
export interface FreshOptions extends Omit<ReadOptions, 'minPosition'> {
  readonly minPosition?: Position | number | undefined;
}

/** Which page of a list is wanted, and how fresh. */
export type FreshPage = Omit<PageRequest, 'minPosition'> & FreshOptions;

/** A row, and the position of the last commit that it has seen. */
export interface RowOf<Row> {
  readonly row: Row;
  readonly position: Position;
}

/** The rows and lists of a view. @throws LogUnavailable, ViewBehind, InvalidCursor, ListNotBuilt */
export interface LedgerView<Row> {
  /** A row by its key; `undefined` when there is none. */
  get(key: string, options?: FreshOptions): Promise<RowOf<Row> | undefined>;
  /** A page of a list of an index of this view. */
  list(
    index: ViewIndex<Row>,
    query: ListQuery<Row>,
    page: FreshPage,
  ): Promise<{ readonly rows: readonly Row[]; readonly next: string | undefined }>;
}

/**
 * The rows of a view as values; only what the view's own `evolve` made is in its bucket, so they are of its type.
 * @throws RangeError when it is none of `views`
 */
export function viewOf<Row>(
  reader: ViewReader,
  views: readonly Projection[],
  wanted: Projection<Row> | string,
): LedgerView<Row> {
  const name = typeof wanted === 'string' ? wanted : wanted.name;
  const view = views.find((one) => one.name === name);
  if (view === undefined) {
    const known = views.map((one) => one.name).join(', ') || 'none';
    throw new RangeError(`views: there is no ${name} in this ledger (${known}). Give it to openLedger.`);
  }
  return {
    get: async (key, options) => {
      const found = await reader.row(view, key, fresh(options));
      return found && { row: parsed<Row>(found.json), position: found.position };
    },
    list: async (index, query, { limit, cursor, ...options }) => {
      const { items, next } = await reader.page(index, query, { limit, cursor, ...fresh(options) });
      return { rows: items.map((item) => parsed<Row>(item)), next };
    },
  };
}

const parsed = <Row>(json: Uint8Array): Row => JSON.parse(Buffer.from(json).toString('utf8')) as Row;

function fresh({ minPosition, waitMs }: FreshOptions = {}): ReadOptions {
  return {
    minPosition: typeof minPosition === 'number' ? positionOfVersion(minPosition) : minPosition,
    waitMs,
  };
}
