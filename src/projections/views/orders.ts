import { type KnownOrder, type OrderEvent, type OrderStep, order } from '../../domain/order.ts';
import { type DeliveryAddress, detailsOf } from '../../domain/order-details.ts';
import { versionAt } from '../../eventstore/index.ts';
import {
  type EventContext,
  type Page,
  type PageRequest,
  type Projection,
  parseRow,
  type ReadOptions,
  type ReadRow,
  type ViewIndex,
  type ViewReader,
} from '../engine/index.ts';

import { listOf } from './filters.ts';
import { exactNumber, isoTime } from './json.ts';

interface Money {
  readonly amountMinor: number;
  /** ISO 4217. */
  readonly currency: string;
}

interface OrderLineRow {
  readonly sku: string;
  readonly name: string;
  readonly quantity: number;
  readonly unitPrice: Money;
  readonly lineTotal: Money;
  /** As in the two above; clients have known these first. */
  readonly unitPriceMinor: number;
  readonly lineTotalMinor: number;
}

/** An order as the API serves it. */
export interface OrderRow {
  readonly id: string;
  readonly userId: string;
  readonly status: KnownOrder['status'];
  /** What a placed order waits for, or where a rejected one failed. */
  readonly step?: string;
  /** Why it was rejected, cancelled or refunded. */
  readonly reason?: { readonly code: string; readonly text: string };
  readonly payment: {
    readonly status: 'open' | 'authorised' | 'captured' | 'cancelled' | 'refunded';
    /** The provider's. */
    readonly id?: string;
    /** Gone once nothing is to be paid any more. */
    readonly dueAt?: string;
  };
  readonly lines: readonly OrderLineRow[];
  readonly total: Money;
  readonly tracking?: string;
  readonly placedAt: string;
  /** What the client's own systems call it. */
  readonly externalReference?: string;
  readonly deliveryAddress?: DeliveryAddress;
  readonly metadata?: Readonly<Record<string, string>>;
  /** `traceId` is of the request or message that made it happen, where that was traced. */
  readonly timeline: readonly { readonly type: string; readonly at: string; readonly traceId?: string }[];
  readonly version: number;
}

/** The lines of an `OrderPlaced` as JSON. @throws RangeError for an amount that JSON cannot hold exactly */
function linesOf({ lines, currency }: Placed): readonly OrderLineRow[] {
  return lines.map((line) => {
    const unitPriceMinor = exactNumber(line.unitPriceMinor);
    const lineTotalMinor = exactNumber(line.lineTotalMinor);
    return {
      sku: line.sku,
      name: line.name,
      quantity: exactNumber(line.quantity),
      unitPrice: { amountMinor: unitPriceMinor, currency },
      lineTotal: { amountMinor: lineTotalMinor, currency },
      unitPriceMinor,
      lineTotalMinor,
    };
  });
}

const string = { type: 'string' };
const integer = { type: 'integer' };
const time = { type: 'string', format: 'date-time' };

function object(properties: Readonly<Record<string, object>>, optional: readonly string[] = []) {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', required, additionalProperties: false, properties };
}

const money = object({ amountMinor: integer, currency: string });

/** JSON schema of `OrderRow`. */
export const orderRowSchema = object(
  {
    id: string,
    userId: string,
    status: { enum: ['placed', 'confirmed', 'rejected', 'cancelled', 'shipped', 'delivered', 'refunded'] },
    step: string,
    reason: object({ code: string, text: string }),
    payment: object(
      {
        status: { enum: ['open', 'authorised', 'captured', 'cancelled', 'refunded'] },
        id: string,
        dueAt: time,
      },
      ['id', 'dueAt'],
    ),
    lines: {
      type: 'array',
      items: object({
        sku: string,
        name: string,
        quantity: integer,
        unitPrice: money,
        lineTotal: money,
        unitPriceMinor: integer,
        lineTotalMinor: integer,
      }),
    },
    total: money,
    tracking: string,
    placedAt: time,
    externalReference: string,
    deliveryAddress: object(
      { name: string, street: string, postalCode: string, city: string, country: string },
      ['postalCode'],
    ),
    metadata: { type: 'object', additionalProperties: string },
    timeline: { type: 'array', items: object({ type: string, at: time, traceId: string }, ['traceId']) },
    version: integer,
  },
  ['step', 'reason', 'tracking', 'externalReference', 'deliveryAddress', 'metadata'],
);

/** One row per order, by id. */
export const orders: Projection<OrderRow, OrderEvent> = {
  name: 'orders',
  version: 5,
  sources: [order],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, context) => {
    const entry = entryOf(event, context);
    const version = versionAt(context.position);
    if (event.$typeName === 'jetledger.order.v1.OrderPlaced') {
      return { ...placed(context.stream.id, event), timeline: [entry], version };
    }
    if (row === undefined) return undefined;
    // One that is spread would have room for many more, in each row.
    const timeline = row.timeline.concat(entry);
    return { ...(endsSteps(event) ? withoutStep(row) : row), ...changes(row, event), timeline, version };
  },
  schema: orderRowSchema,
};

type Placed = Extract<OrderEvent, { $typeName: 'jetledger.order.v1.OrderPlaced' }>;

/** Where the trace id stands in a traceparent; the log holds valid ones only. */
const [TRACE_ID_FROM, TRACE_ID_TO] = [3, 35];

const NAMES: ReadonlyMap<string, string> = new Map(
  order.events.map(({ typeName, name }) => [typeName, name]),
);

function entryOf(
  { $typeName }: OrderEvent,
  { time, traceparent }: EventContext,
): OrderRow['timeline'][number] {
  const type = NAMES.get($typeName) ?? $typeName;
  const at = isoTime(time);
  if (traceparent === '') return { type, at };
  return { type, at, traceId: traceparent.slice(TRACE_ID_FROM, TRACE_ID_TO) };
}

function placed(id: string, event: Placed): OrderRow {
  return {
    id,
    userId: event.userId,
    status: 'placed',
    step: 'customer_validation',
    payment: { status: 'open', dueAt: isoTime(event.paymentDueAt) },
    lines: linesOf(event),
    total: { amountMinor: exactNumber(event.totalMinor), currency: event.currency },
    placedAt: isoTime(event.placedAt),
    ...detailsOf(event),
    timeline: [],
    version: 0,
  };
}

/** What an event changes of a row, besides the step that it ends. */
function changes(row: OrderRow, event: Exclude<OrderEvent, Placed>): Partial<OrderRow> {
  switch (event.$typeName) {
    case 'jetledger.order.v1.CustomerValidated':
      return { step: 'inventory' };
    case 'jetledger.order.v1.OrderStockReserved':
      return { step: 'payment' };
    case 'jetledger.order.v1.PaymentAuthorised':
      return paid(row, 'authorised', event.paymentId);
    case 'jetledger.order.v1.PaymentCaptured':
      return paid(row, 'captured', event.paymentId);
    case 'jetledger.order.v1.PaymentCancelled':
      return paid(row, 'cancelled', event.paymentId);
    case 'jetledger.order.v1.PaymentRefunded':
      return paid(row, 'refunded', event.paymentId);
    case 'jetledger.order.v1.OrderRejected': {
      const { step, code, reason } = event;
      return { status: 'rejected', step, reason: { code, text: reason }, payment: withoutDeadline(row) };
    }
    case 'jetledger.order.v1.OrderCancelled': {
      // Cancelled orders of the first version do not say by whom: only customers could.
      const code = `cancelled/${event.by === '' ? 'customer' : event.by}`;
      const text = event.reason === '' && event.by === 'customer-deactivated' ? DEACTIVATED : event.reason;
      return { status: 'cancelled', reason: { code, text }, payment: withoutDeadline(row) };
    }
    case 'jetledger.order.v1.OrderConfirmed':
      return { status: 'confirmed' };
    case 'jetledger.order.v1.OrderShipped':
      return { status: 'shipped', ...(event.tracking !== '' && { tracking: event.tracking }) };
    case 'jetledger.order.v1.OrderDelivered':
      return { status: 'delivered' };
    case 'jetledger.order.v1.OrderRefundGranted': {
      const reason = { code: 'refunded', text: event.reason };
      return { status: 'refunded', reason, payment: withoutDeadline(row) };
    }
    case 'jetledger.order.v1.OrderStockReleased':
      return {};
    default:
      return event satisfies never;
  }
}

const DEACTIVATED = "The customer's account was deactivated.";

/** What is left of the payment of an order that has failed. One that was never begun is over; any other is returned. */
function withoutDeadline({ step, payment }: OrderRow): OrderRow['payment'] {
  const { dueAt: _dueAt, ...rest } = payment;
  const begun = payment.status !== 'open' || step === 'payment';
  return begun ? rest : { ...rest, status: 'cancelled' };
}

function paid(row: OrderRow, status: OrderRow['payment']['status'], paymentId: string): Partial<OrderRow> {
  const id = paymentId === '' ? row.payment.id : paymentId;
  return { payment: { ...row.payment, status, ...(id !== undefined && { id }) } };
}

function endsSteps({ $typeName }: OrderEvent): boolean {
  return (
    $typeName === 'jetledger.order.v1.OrderConfirmed' || $typeName === 'jetledger.order.v1.OrderCancelled'
  );
}

function withoutStep({ step: _step, ...row }: OrderRow): OrderRow {
  return row;
}

/** Cost nothing for orders without one. */
const BY_REFERENCE = [['externalReference'], ['user', 'externalReference']];

/** What orders are found by: a row in each of these lists for every order, so only what is asked for has one. */
export const orderIndex: ViewIndex<OrderRow> = {
  view: orders,
  version: 1,
  columns: {
    status: 'text',
    user: 'text',
    sku: 'texts',
    externalReference: 'text',
    currency: 'text',
    placedAt: 'integer',
    total: 'integer',
  },
  lists: [
    ...[[], ['status'], ['user'], ['user', 'status'], ['sku'], ['sku', 'status'], ...BY_REFERENCE].map(
      (equal) => ({
        equal,
        sort: 'placedAt',
        descending: true,
      }),
    ),
    ...[['currency'], ['currency', 'status'], ['currency', 'user']].map((equal) => ({
      equal,
      sort: 'total',
    })),
  ],
  entryOf: ({ status, userId, lines, externalReference, total, placedAt }) => ({
    status,
    user: userId,
    sku: lines.map(({ sku }) => sku),
    externalReference,
    currency: total.currency,
    placedAt: Date.parse(placedAt),
    total: total.amountMinor,
  }),
};

/**
 * Orders that are placed and not further, by what they wait for, the oldest first. Of its own, and kept from the first
 * question on: where nobody asks it costs nothing.
 */
const openOrderIndex: ViewIndex<OrderRow> = {
  view: orders,
  name: 'open_orders',
  version: 1,
  columns: { step: 'text', placedAt: 'integer' },
  lists: [{ equal: ['step'], sort: 'placedAt' }],
  entryOf: ({ status, step, placedAt }) =>
    status === 'placed' ? { step, placedAt: Date.parse(placedAt) } : undefined,
};

/** Which orders are wanted. Times are in milliseconds since the Unix epoch, amounts in minor units. */
export interface OrderFilter {
  readonly status?: OrderRow['status'] | undefined;
  readonly user?: string | undefined;
  /** On one of their lines. */
  readonly sku?: string | undefined;
  /** What the client's own systems call it, as it is stored. */
  readonly externalReference?: string | undefined;
  /** Of the total; needed where orders are sorted by it. */
  readonly currency?: string | undefined;
  /** By when they were placed, newest first, or by their totals, lowest first. */
  readonly sort: 'placedAt' | 'total';
  /** Only orders that are sorted at this value or above it, and below the other one. */
  readonly from?: number | undefined;
  readonly below?: number | undefined;
}

/** What can be asked of the view. @throws ViewBehind, LogUnavailable, InvalidCursor */
export interface OrderQueries {
  order(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** A page may hold fewer than `limit` when orders were changed just now. @throws NoSuchList, ListNotBuilt */
  orders(filter: OrderFilter, page: PageRequest): Promise<Page>;
  /** Orders that are placed and wait for a step, those that were placed first before the others. @throws ListNotBuilt */
  openOrders(step: OrderStep, page: PageRequest): Promise<Page>;
  /** The ids of the orders that are placed and not further, from all rows: for whoever looks at them once in a while. */
  placedOrders(): AsyncIterable<string>;
}

export function orderQueries(views: ViewReader): OrderQueries {
  return {
    order: (id, options) => views.row(orders, id, options),
    orders: async ({ sort, from, below, ...equal }, page) =>
      views.page(orderIndex, { ...listOf(orderIndex, sort, equal), from, below }, page),
    openOrders: (step, page) =>
      views.page(openOrderIndex, listOf(openOrderIndex, 'placedAt', { step }), page),
    placedOrders: () => placedOrders(views),
  };
}

const PLACED = '"status":"placed"';

async function* placedOrders(views: ViewReader): AsyncGenerator<string> {
  const live = await views.bucket(orders);
  for await (const row of live?.bucket.rows() ?? []) {
    if (!Buffer.from(row.value).includes(PLACED)) continue;
    const { id, status } = parseRow(row.value) as OrderRow;
    if (status === 'placed') yield id;
  }
}
