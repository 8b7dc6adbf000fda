import { type OrderEvent, order } from '../../domain/order.ts';
import type { Log } from '../../eventstore/index.ts';
import {
  appendEntry,
  type CursorScope,
  createFactDecoder,
  encodeCursor,
  foldRow,
  indexOfCursor,
  isRowId,
  type ListRow,
  type Page,
  type PageRequest,
  type Projection,
  readList,
  readRows,
  sealFullPage,
  type ViewReader,
} from '../engine/index.ts';

import { orders } from './orders.ts';

/** What stands in a list of an order; the rest is in `orders`. */
interface OrderEntry {
  readonly orderId: string;
}

/** One list per user, by the user's id, of the orders in the sequence in which they were placed. */
export const ordersByUser: Projection<ListRow<OrderEntry>, OrderEvent> = {
  name: 'orders_by_user',
  // 2: pages of 50 instead of 200, and ids alone.
  version: 2,
  sources: [order],
  crossesAggregates: true,
  keyOf: (event) => (event.$typeName === 'jetledger.order.v1.OrderPlaced' ? event.userId : undefined),
  evolve: (row, event, { stream }) =>
    event.$typeName === 'jetledger.order.v1.OrderPlaced' ? appendEntry(row, { orderId: stream.id }) : row,
  seal: sealFullPage,
  schema: {
    type: 'object',
    required: ['pages', 'size', 'entries'],
    additionalProperties: false,
    properties: {
      pages: { type: 'integer', minimum: 0 },
      size: { type: 'integer', minimum: 1 },
      entries: {
        type: 'array',
        items: { type: 'object', required: ['orderId'], properties: { orderId: { type: 'string' } } },
      },
    },
  },
};

/** What can be asked of the view. */
export interface OrdersByUserQueries {
  /** Newest first. @throws InvalidCursor, ViewBehind, LogUnavailable */
  ordersOfUser(userId: string, page: PageRequest): Promise<Page>;
}

export function ordersByUserQueries(views: ViewReader): OrdersByUserQueries {
  return { ordersOfUser: (userId, page) => ordersOfUser(views, userId, page) };
}

/**
 * A page of a user's orders, newest first: the list names them, `orders` holds them. The two views advance apart; an
 * order that is in the list and not yet in `orders` is folded from the log, so a page never has holes and never waits.
 * Reads the list's head, its pages in one request, and one row per order, up to a page's bytes.
 * @throws InvalidCursor, ViewBehind, LogUnavailable
 */
async function ordersOfUser(views: ViewReader, userId: string, request: PageRequest): Promise<Page> {
  const { log } = views;
  const scope: CursorScope = { list: `orders/${userId}`, incarnation: log.incarnation };
  const before = indexOfCursor(scope, request.cursor);
  if (!isRowId(userId)) return { items: [] };
  const { limit, minPosition } = request;
  const leader = minPosition !== undefined;
  const [lists, rows] = await Promise.all([
    views.bucket(ordersByUser, request),
    views.bucket(orders, request),
  ]);
  if (lists === undefined) return { items: [] };
  const part = await readList<OrderEntry>(lists.bucket, userId, { limit, before, leader });
  const items = await readRows(
    part.entries,
    async ({ orderId }) => {
      const row = await rows?.bucket.get(orderId, { leader });
      return row === undefined || row.value.length === 0 ? fromLog(log, orderId) : row.value;
    },
    (row) => row.length,
  );
  const older = (part.before ?? 0) + part.entries.length - items.length;
  return older === 0 ? { items } : { items, next: encodeCursor(scope, older) };
}

const decode = createFactDecoder(orders.sources);

async function fromLog(log: Log, orderId: string): Promise<Uint8Array> {
  const stream = { category: 'order', id: orderId };
  const { row } = await foldRow({ log, projection: orders, decode }, stream, orderId);
  return Buffer.from(JSON.stringify(row));
}
