import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import type { EventContext, Projection } from '../projection.ts';
import { exactNumber, isoTime } from './json.ts';
import { linesOf, type OrderRow, orderRowSchema } from './order-row.ts';

/** One row per order, by id. */
export const orders: Projection<OrderRow, OrderEvent> = {
  name: 'orders',
  version: 3,
  sources: [order],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, context) => {
    const entry = entryOf(event, context);
    const version = context.position;
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
    lines: linesOf(event.lines),
    total: { amountMinor: exactNumber(event.totalMinor), currency: event.currency },
    placedAt: isoTime(event.placedAt),
    timeline: [],
    version: 0,
  };
}

/** What an event changes of a row, beside the step that it ends. */
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
      return { status: 'rejected', step, reason: { code, text: reason } };
    }
    case 'jetledger.order.v1.OrderCancelled': {
      // Cancelled orders of the first version do not say by whom: only customers could.
      const code = `cancelled/${event.by === '' ? 'customer' : event.by}`;
      return { status: 'cancelled', reason: { code, text: event.reason } };
    }
    case 'jetledger.order.v1.OrderConfirmed':
      return { status: 'confirmed' };
    case 'jetledger.order.v1.OrderShipped':
      return { status: 'shipped', ...(event.tracking !== '' && { tracking: event.tracking }) };
    case 'jetledger.order.v1.OrderDelivered':
      return { status: 'delivered' };
    case 'jetledger.order.v1.OrderStockReleased':
      return {};
    default:
      return event satisfies never;
  }
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
