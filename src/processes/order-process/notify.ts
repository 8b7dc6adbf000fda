import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import type { Notification } from '../notification/port.ts';
import { ProcessFault } from './commands.ts';
import type { OrderEffect } from './effects.ts';
import type { Occasion } from './occasion.ts';

type Kind = Extract<OrderEffect, { type: 'notify' }>['kind'];

/** Puts the notification of an event on its stream; its id derives from the event. */
export async function notify(kind: Kind, occasion: Occasion): Promise<void> {
  const { orderId, position, consumed, deps } = occasion;
  // Whose order it is never changes, so any knowledge of it will do.
  const { state } = await deps.handler.load(order, orderId, { maxAgeMs: Number.POSITIVE_INFINITY });
  if (state.status === 'absent') throw new ProcessFault(`There is no order ${orderId} to tell of.`);
  const notification: Notification = {
    id: `${position}/${kind}`,
    kind,
    userId: state.userId,
    orderId,
    text: textOf(kind, consumed.event),
    time: consumed.time,
    traceparent: consumed.traceparent,
  };
  return deps.notifications.publish(notification);
}

function textOf(kind: Kind, event: OrderEvent): string {
  switch (kind) {
    case 'order-confirmed':
      return 'Your order is confirmed.';
    case 'order-rejected': {
      const reason = event.$typeName === 'jetledger.order.v1.OrderRejected' ? ` ${event.reason}` : '';
      return `Your order could not be accepted.${reason}`;
    }
    case 'order-shipped': {
      const tracking = event.$typeName === 'jetledger.order.v1.OrderShipped' ? event.tracking : '';
      return tracking === '' ? 'Your order is on its way.' : `Your order is on its way: ${tracking}.`;
    }
  }
}
