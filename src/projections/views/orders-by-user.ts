import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import { appendEntry, type ListRow, sealFullPage } from '../list.ts';
import type { Projection } from '../projection.ts';
import { exactNumber, isoTime } from './json.ts';

/** What never changes about an order; the rest is in `orders`. */
export interface OrderEntry {
  readonly orderId: string;
  readonly placedAt: string;
  readonly total: { readonly amountMinor: number; readonly currency: string };
}

/** One list per user, by the user's id, of the orders in the sequence in which they were placed. */
export const ordersByUser: Projection<ListRow<OrderEntry>, OrderEvent> = {
  name: 'orders_by_user',
  version: 1,
  sources: [order],
  crossesAggregates: true,
  keyOf: (event) => (event.$typeName === 'jetledger.order.v1.OrderPlaced' ? event.userId : undefined),
  evolve: (row, event, { stream }) => {
    if (event.$typeName !== 'jetledger.order.v1.OrderPlaced') return row;
    const total = { amountMinor: exactNumber(event.totalMinor), currency: event.currency };
    return appendEntry(row, { orderId: stream.id, placedAt: isoTime(event.placedAt), total });
  },
  seal: (key, row) => sealFullPage(key, row),
  schema: {
    type: 'object',
    required: ['pages', 'entries'],
    additionalProperties: false,
    properties: {
      pages: { type: 'integer', minimum: 0 },
      entries: {
        type: 'array',
        items: {
          type: 'object',
          required: ['orderId', 'placedAt', 'total'],
          properties: {
            orderId: { type: 'string' },
            placedAt: { type: 'string' },
            total: { type: 'object' },
          },
        },
      },
    },
  },
};
