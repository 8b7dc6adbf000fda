import { type OrderEvent, order } from '../../domain/order.ts';
import { timeOf } from '../../domain/values.ts';
import { type Projection, parseRow, type ReadOptions, type ViewReader } from '../engine/index.ts';

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
  /** Absent where it is 0, as in rows that were stored before orders were refunded. */
  readonly ordersRefunded?: number;
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
  keyOf: countedDayOf,
  evolve: (row, event) => {
    const day = countedDayOf(event);
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
      case 'jetledger.order.v1.OrderRefundGranted':
        return { ...before, ordersRefunded: (before.ordersRefunded ?? 0) + 1 };
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
      ordersRefunded: integer,
      rejections: { type: 'object', additionalProperties: integer },
    },
  },
};

/** The day that an event counts for; undefined when it counts for none. */
function countedDayOf(event: OrderEvent): string | undefined {
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
    case 'jetledger.order.v1.OrderRefundGranted':
      return isoTime(event.grantedAt).slice(0, 10);
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

/** A period of whole days in UTC, both included, written like `2026-01-15`; at most 366 days. */
export interface StatisticsRequest {
  readonly from: string;
  readonly to: string;
}

export interface Statistics {
  /** The days on which something happened, ascending. */
  readonly days: readonly DayRow[];
}

/** A period that cannot be read as one, or is too long. */
export class InvalidPeriod extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidPeriod';
  }
}

/** The longest period that one query may ask for. */
const MOST_DAYS = 366;

const DAY_MS = 86_400_000;

/** What can be asked of the view. @throws InvalidPeriod, ViewBehind, LogUnavailable */
export interface StatisticsQueries {
  statistics(request: StatisticsRequest & ReadOptions): Promise<Statistics>;
}

export function statisticsQueries(views: ViewReader): StatisticsQueries {
  return { statistics: (request) => readDays(views, request) };
}

/** The rows of the days from `from` to `to`, both included; a day without an event has none. One read per day. */
async function readDays(views: ViewReader, request: StatisticsRequest & ReadOptions): Promise<Statistics> {
  const days = daysOf(request);
  const live = await views.bucket(statistics, request);
  if (live === undefined) return { days: [] };
  const leader = request.minPosition !== undefined;
  const rows = await Promise.all(days.map((day) => live.bucket.get(day, { leader })));
  return { days: rows.flatMap((row) => (row === undefined ? [] : [parseRow(row.value) as DayRow])) };
}

function daysOf({ from, to }: StatisticsRequest): string[] {
  const [first, last] = [startOf(from), startOf(to)];
  const count = (last - first) / DAY_MS + 1;
  if (!(count >= 1 && count <= MOST_DAYS)) {
    throw new InvalidPeriod(`Ask for 1 to ${MOST_DAYS} days, the last one not before the first.`);
  }
  return Array.from({ length: count }, (_, n) => dayOf(first + n * DAY_MS));
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function startOf(day: string): number {
  const time = timeOf(day);
  if (time === undefined || dayOf(time) !== day) {
    throw new InvalidPeriod(`${JSON.stringify(day.slice(0, 20))} is no day; write it like 2026-01-15.`);
  }
  return time;
}
