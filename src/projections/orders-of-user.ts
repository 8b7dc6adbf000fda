import type { Log } from '../eventstore/log.ts';
import { type CursorScope, encodeCursor, indexOfCursor } from './cursor.ts';
import { createFactDecoder } from './facts.ts';
import { foldRow } from './fold-row.ts';
import { readList } from './list.ts';
import type { Page, PageRequest } from './read-models.ts';
import { isRowId, type ViewAccess } from './view-access.ts';
import { orders } from './views/orders.ts';
import type { OrderEntry } from './views/orders-by-user.ts';

/**
 * A page of a user's orders, newest first: the list names them, `orders` holds them. The two views advance apart; an
 * order that is in the list and not yet in `orders` is folded from the log, so a page never has holes and never waits.
 * Reads the list's head, at most two of its pages, and one row per order.
 * @throws InvalidCursor, ViewBehind, LogUnavailable
 */
export async function ordersOfUser(
  deps: { log: Log; list: ViewAccess; orders: ViewAccess },
  userId: string,
  request: PageRequest,
): Promise<Page> {
  const { log } = deps;
  const scope: CursorScope = { list: `orders/${userId}`, incarnation: log.incarnation };
  const before = indexOfCursor(scope, request.cursor);
  if (!isRowId(userId)) return { items: [] };
  const { limit, minPosition } = request;
  const leader = minPosition !== undefined;
  const [lists, rows] = await Promise.all([deps.list.bucket(request), deps.orders.bucket(request)]);
  if (lists === undefined) return { items: [] };
  const part = await readList<OrderEntry>(lists.bucket, userId, { limit, before, leader });
  const items = await Promise.all(
    part.entries.map(async ({ orderId }) => {
      const row = await rows?.bucket.get(orderId, { leader });
      return row === undefined || row.value.length === 0 ? fromLog(log, orderId) : row.value;
    }),
  );
  return part.before === undefined ? { items } : { items, next: encodeCursor(scope, part.before) };
}

const decode = createFactDecoder(orders.sources);

async function fromLog(log: Log, orderId: string): Promise<Uint8Array> {
  const stream = { category: 'order', id: orderId };
  const { row } = await foldRow({ log, projection: orders, decode }, stream, orderId);
  return Buffer.from(JSON.stringify(row));
}
