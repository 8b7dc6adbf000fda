import type { Around } from '../../../eventstore/index.ts';
import type { Posted } from '../../delivery/port.ts';
import type { Notification } from '../port.ts';

/** One try to deliver a notification. */
export interface DeliveryTry {
  readonly notification: Notification;
  readonly attempt: number;
}

/** What came of a try to deliver a notification. */
export type DeliveryOutcome = 'sent' | 'retried' | 'given_up';

/** Told of notifications on their way. A plain object of functions, each of which may be absent; none may throw. */
export interface NotificationObserver {
  /** Around putting one on its stream; a copy may carry the observer's trace. */
  readonly aroundPublish?: Around<Notification, void>;
  readonly aroundDelivery?: Around<DeliveryTry, Posted>;
  /** What came of a try, and that one was given up; `undefined` is a message that is no notification. */
  delivered?(notification: Notification | undefined, outcome: DeliveryOutcome): void;
}
