import type { Around, StoredTrace } from '../../../eventstore/index.ts';
import type { WorkResult } from '../../engine/index.ts';
import type { Notification } from '../port.ts';

/** One try to deliver a notification. */
export interface DeliveryTry {
  readonly destination: string;
  readonly attempt: number;
  /** Of the message's headers. */
  readonly trace: StoredTrace;
}

/** What a try came to; `error` where it failed and is answered with another try or with giving up. */
export type TriedDelivery = WorkResult & { readonly error?: unknown };

/** What came of a try to deliver a notification. */
export type DeliveryOutcome = 'sent' | 'retried' | 'given_up';

/** Told of notifications on their way. A plain object of functions, each of which may be absent; none may throw. */
export interface NotificationObserver {
  /** Around putting one on its stream; a copy may carry the observer's trace. */
  readonly aroundPublish?: Around<Notification, void>;
  readonly aroundDelivery?: Around<DeliveryTry, TriedDelivery>;
  /** What came of a try; `undefined` is a message that is no notification. */
  delivered?(notification: Notification | undefined, outcome: DeliveryOutcome): void;
}
