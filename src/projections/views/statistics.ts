import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import type { Projection } from '../projection.ts';
import { isoTime } from './json.ts';

/** Sums of minor units are decimal integers in text, since they may exceed what a JSON number keeps exactly. */
export interface CurrencyFigures {
  /** ISO 4217. */
  readonly currency: string;
  readonly ordersPlaced: number;
  readonly placedMinor: string;
  readonly capturedMinor: string;
  readonly refundedMinor: string;
}

/** What happened to orders on one day in UTC, by the times in the events. */
export interface DayRow {
  /** For example `2026-01-15`. */
  readonly day: string;
  /** In the order of their first event of the day. */
  readonly currencies: readonly CurrencyFigures[];
  readonly ordersConfirmed: number;
  readonly ordersCancelled: number;
  /** How many orders were rejected, by the step that failed. */
  readonly rejections: Readonly<Record<string, number>>;
}

const integer = { type: 'integer', minimum: 0 };
const sum = { type: 'string', pattern: '^-?[0-9]+$' };

/** One row per day, over all orders. Revenue is what was captured less what was refunded, each on its own day. */
export const statistics: Projection<DayRow, OrderEvent> = {
  name: 'statistics',
  version: 1,
  sources: [order],
  crossesAggregates: true,
  keyOf: dayOf,
  evolve: (row, event) => {
    const day = dayOf(event);
    if (day === undefined) return row;
    const before = row ?? { day, currencies: [], ordersConfirmed: 0, ordersCancelled: 0, rejections: {} };
    switch (event.$typeName) {
      case 'jetledger.order.v1.OrderPlaced':
        return counted(before, event.currency, { ordersPlaced: 1, placedMinor: event.totalMinor });
      case 'jetledger.order.v1.PaymentCaptured':
        return counted(before, event.currency, { capturedMinor: event.amountMinor });
      case 'jetledger.order.v1.PaymentRefunded':
        return counted(before, event.currency, { refundedMinor: event.amountMinor });
      case 'jetledger.order.v1.OrderConfirmed':
        return { ...before, ordersConfirmed: before.ordersConfirmed + 1 };
      case 'jetledger.order.v1.OrderCancelled':
        return { ...before, ordersCancelled: before.ordersCancelled + 1 };
      case 'jetledger.order.v1.OrderRejected': {
        const rejections = { ...before.rejections };
        rejections[event.step] = (rejections[event.step] ?? 0) + 1;
        return { ...before, rejections };
      }
      default:
        return row;
    }
  },
  schema: {
    type: 'object',
    required: ['day', 'currencies', 'ordersConfirmed', 'ordersCancelled', 'rejections'],
    additionalProperties: false,
    properties: {
      day: { type: 'string', format: 'date' },
      currencies: {
        type: 'array',
        items: {
          type: 'object',
          required: ['currency', 'ordersPlaced', 'placedMinor', 'capturedMinor', 'refundedMinor'],
          additionalProperties: false,
          properties: {
            currency: { type: 'string' },
            ordersPlaced: integer,
            placedMinor: sum,
            capturedMinor: sum,
            refundedMinor: sum,
          },
        },
      },
      ordersConfirmed: integer,
      ordersCancelled: integer,
      rejections: { type: 'object', additionalProperties: integer },
    },
  },
};

/** The day that an event counts for; undefined when it counts for none. */
function dayOf(event: OrderEvent): string | undefined {
  switch (event.$typeName) {
    case 'jetledger.order.v1.OrderPlaced':
      return isoTime(event.placedAt).slice(0, 10);
    case 'jetledger.order.v1.PaymentCaptured':
      return isoTime(event.capturedAt).slice(0, 10);
    case 'jetledger.order.v1.PaymentRefunded':
      return isoTime(event.refundedAt).slice(0, 10);
    case 'jetledger.order.v1.OrderConfirmed':
      return isoTime(event.confirmedAt).slice(0, 10);
    case 'jetledger.order.v1.OrderCancelled':
      return isoTime(event.cancelledAt).slice(0, 10);
    case 'jetledger.order.v1.OrderRejected':
      return isoTime(event.rejectedAt).slice(0, 10);
    default:
      return undefined;
  }
}

interface Increase {
  readonly ordersPlaced?: number;
  readonly placedMinor?: bigint;
  readonly capturedMinor?: bigint;
  readonly refundedMinor?: bigint;
}

function counted(row: DayRow, currency: string, more: Increase): DayRow {
  const zero = { currency, ordersPlaced: 0, placedMinor: '0', capturedMinor: '0', refundedMinor: '0' };
  const known = row.currencies.find((figures) => figures.currency === currency);
  const before = known ?? zero;
  const plus = (sum: string, increase = 0n) => String(BigInt(sum) + increase);
  const after: CurrencyFigures = {
    currency,
    ordersPlaced: before.ordersPlaced + (more.ordersPlaced ?? 0),
    placedMinor: plus(before.placedMinor, more.placedMinor),
    capturedMinor: plus(before.capturedMinor, more.capturedMinor),
    refundedMinor: plus(before.refundedMinor, more.refundedMinor),
  };
  const currencies =
    known === undefined
      ? [...row.currencies, after]
      : row.currencies.map((figures) => (figures === known ? after : figures));
  return { ...row, currencies };
}
