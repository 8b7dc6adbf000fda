import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import type { EventContext, Projection } from '../projection.ts';
import { exactNumber, isoTime } from './json.ts';
import { linesOf, type OrderRow, orderRowSchema } from './order-row.ts';

/** One row per order, by id. */
export const orders: Projection<OrderRow, OrderEvent> = {
  name: 'orders',
  version: 2,
  sources: [order],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, context) => {
    const after =
      event.$typeName === 'jetledger.order.v1.OrderPlaced'
        ? placed(context.stream.id, event)
        : row && changed(row, event);
    if (after === undefined) return undefined;
    const timeline = [...after.timeline, entryOf(event, context)];
    return { ...after, timeline, version: context.position };
  },
  schema: orderRowSchema,
};

type Placed = Extract<OrderEvent, { $typeName: 'jetledger.order.v1.OrderPlaced' }>;

function entryOf({ $typeName }: OrderEvent, { time }: EventContext): OrderRow['timeline'][number] {
  return { type: $typeName.slice($typeName.lastIndexOf('.') + 1), at: isoTime(time) };
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

function changed(row: OrderRow, event: Exclude<OrderEvent, Placed>): OrderRow {
  switch (event.$typeName) {
    case 'jetledger.order.v1.CustomerValidated':
      return { ...row, step: 'inventory' };
    case 'jetledger.order.v1.OrderStockReserved':
      return { ...row, step: 'payment' };
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
      return { ...row, status: 'rejected', step, reason: { code, text: reason } };
    }
    case 'jetledger.order.v1.OrderCancelled': {
      // Cancelled orders of the first version do not say by whom: only customers could.
      const code = `cancelled/${event.by === '' ? 'customer' : event.by}`;
      return { ...withoutStep(row), status: 'cancelled', reason: { code, text: event.reason } };
    }
    case 'jetledger.order.v1.OrderConfirmed':
      return { ...withoutStep(row), status: 'confirmed' };
    case 'jetledger.order.v1.OrderShipped':
      return { ...row, status: 'shipped', ...(event.tracking !== '' && { tracking: event.tracking }) };
    case 'jetledger.order.v1.OrderDelivered':
      return { ...row, status: 'delivered' };
    case 'jetledger.order.v1.OrderStockReleased':
      return row;
    default:
      return event satisfies never;
  }
}

function paid(row: OrderRow, status: OrderRow['payment']['status'], paymentId: string): OrderRow {
  const id = paymentId === '' ? row.payment.id : paymentId;
  return { ...row, payment: { ...row.payment, status, ...(id !== undefined && { id }) } };
}

function withoutStep({ step: _step, ...row }: OrderRow): OrderRow {
  return row;
}
