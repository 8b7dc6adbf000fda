import { positionOf } from '../../../eventstore/index.ts';
import type { DeadLetter, GivenUpMessage } from '../../engine/index.ts';
import type { Notification } from '../port.ts';
import type { GivenUp } from './delivery.ts';
import { parseNotification } from './outbox.ts';

/** Under which name operators see notifications that were given up. */
export const NOTIFICATIONS = 'notifications';

/** One that was given up, at the event of the order or user that it tells of. */
export function deadLetterOf(notification: Notification, givenUp: GivenUp): GivenUpMessage {
  const { id, kind, userId, orderId, traceparent } = notification;
  const { sequence, attempts, firstAt, error } = givenUp;
  const stream =
    orderId === undefined ? { category: 'user', id: userId } : { category: 'order', id: orderId };
  // Earlier versions began the id with the position; one that says it nowhere is told apart by its place in the stream.
  const position = givenUp.position ?? positionOf(Number(/^(\d{1,15})\//.exec(id)?.[1] ?? sequence));
  const traceId = traceparent.split('-')[1] ?? '';
  return { stream, position, type: kind, payload: notification, error, attempts, firstAt, traceId };
}

/** The notifications that a dead letter holds. @throws TypeError for one that cannot be read */
export function notificationsOf({ events }: DeadLetter): readonly Notification[] {
  return events.map(({ payload }) => parseNotification(JSON.stringify(payload)));
}
