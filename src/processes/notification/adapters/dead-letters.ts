import { positionOf } from '../../../eventstore/index.ts';
import type { GivenUpEvent } from '../../delivery/port.ts';
import type { DeadLetter, GivenUpMessage } from '../../engine/index.ts';
import type { Notification } from '../port.ts';
import { parseNotification } from './outbox.ts';

/** One that was given up, at the event of the order or user that it tells of. */
export function deadLetterOf({ event, attempts, firstAt, error }: GivenUpEvent): GivenUpMessage {
  const notification = parseNotification(event.body());
  const { id, kind, userId, orderId, time, traceparent } = notification;
  const stream =
    orderId === undefined ? { category: 'user', id: userId } : { category: 'order', id: orderId };
  // Earlier versions began the id with the position; one that says it nowhere is told apart by its place in the stream.
  const position = event.commit ?? positionOf(Number(/^(\d{1,15})\//.exec(id)?.[1] ?? event.position));
  return {
    ...{ stream, position, type: kind, payload: notification, attempts },
    error: new Error(`The webhook did not take the notification: ${error}.`),
    firstAt: firstAt === 0 ? time : firstAt,
    traceId: traceparent.split('-')[1] ?? '',
  };
}

/** The notifications that a dead letter holds. @throws TypeError for one that cannot be read */
export function notificationsOf({ events }: DeadLetter): readonly Notification[] {
  return events.map(({ payload }) => parseNotification(JSON.stringify(payload)));
}
