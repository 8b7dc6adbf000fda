import { type OrderEvent, order } from '../../domain/order.ts';
import type { Projection } from '../projection.ts';
import { exactNumber, isoTime } from './json.ts';

interface OrderLineRow {
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPriceMinor: number;
  readonly lineTotalMinor: number;
}

/** An order as the API serves it. */
export interface OrderRow {
  readonly id: string;
  readonly userId: string;
  readonly status: 'placed' | 'cancelled';
  readonly lines: readonly OrderLineRow[];
  readonly total: { readonly amountMinor: number; readonly currency: string };
  readonly placedAt: string;
  readonly cancelledAt?: string;
  readonly cancelReason?: string;
  readonly version: number;
}

type Placed = Extract<OrderEvent, { $typeName: 'jetledger.order.v1.OrderPlaced' }>;

const string = { type: 'string' };
const integer = { type: 'integer' };
const time = { type: 'string', format: 'date-time' };

/** One row per order, by id. */
export const orders: Projection<OrderRow, OrderEvent> = {
  name: 'orders',
  version: 1,
  sources: [order],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream, position }) => {
    switch (event.$typeName) {
      case 'jetledger.order.v1.OrderPlaced':
        return placed(stream.id, event, position);
      case 'jetledger.order.v1.OrderCancelled': {
        if (row === undefined) return undefined;
        const cancelled = { cancelledAt: isoTime(event.cancelledAt), cancelReason: event.reason };
        return { ...row, status: 'cancelled', ...cancelled, version: position };
      }
      default:
        return event satisfies never;
    }
  },
  schema: {
    type: 'object',
    required: ['id', 'userId', 'status', 'lines', 'total', 'placedAt', 'version'],
    additionalProperties: false,
    properties: {
      id: string,
      userId: string,
      status: { enum: ['placed', 'cancelled'] },
      lines: {
        type: 'array',
        items: {
          type: 'object',
          required: ['sku', 'name', 'quantity', 'unitPriceMinor', 'lineTotalMinor'],
          additionalProperties: false,
          properties: {
            sku: string,
            name: string,
            quantity: integer,
            unitPriceMinor: integer,
            lineTotalMinor: integer,
          },
        },
      },
      total: {
        type: 'object',
        required: ['amountMinor', 'currency'],
        additionalProperties: false,
        properties: { amountMinor: integer, currency: string },
      },
      placedAt: time,
      cancelledAt: time,
      cancelReason: string,
      version: integer,
    },
  },
};

function placed(id: string, event: Placed, version: number): OrderRow {
  return {
    id,
    userId: event.userId,
    status: 'placed',
    lines: event.lines.map((line) => ({
      sku: line.sku,
      name: line.name,
      quantity: exactNumber(line.quantity),
      unitPriceMinor: exactNumber(line.unitPriceMinor),
      lineTotalMinor: exactNumber(line.lineTotalMinor),
    })),
    total: { amountMinor: exactNumber(event.totalMinor), currency: event.currency },
    placedAt: isoTime(event.placedAt),
    version,
  };
}
