import type { Position } from '../../eventstore/index.ts';
import type { Posted } from '../delivery/port.ts';

/** What customers are told of; stored with every notification. */
export const NOTIFICATION_KINDS = [
  'welcome',
  'email-changed',
  'order-confirmed',
  'order-rejected',
  'order-shipped',
  'order-refunded',
] as const;

/** Something a person should hear of. Holds ids, never addresses: who delivers it looks them up. */
export interface Notification {
  /** Derived from the event, so that a repetition can be recognised. */
  readonly id: string;
  readonly kind: (typeof NOTIFICATION_KINDS)[number];
  readonly userId: string;
  readonly orderId?: string;
  /** One sentence, for example why an order was rejected. */
  readonly text: string;
  /** Of the event, in milliseconds since the Unix epoch. */
  readonly time: number;
  readonly traceparent: string;
}

/** The commit of the event that a notification tells of, as it was delivered. */
export interface Origin {
  readonly position: Position;
  /** True when the notification may have been published before. */
  readonly maybeHandled: boolean;
}

/** Puts notifications on their stream. @throws LogUnavailable, OutcomeUnknown; repeating is safe */
export interface NotificationOutbox {
  publish(notification: Notification, of: Origin): Promise<void>;
}

/** Delivers notifications to people: tries once, and never rejects. */
export interface Notifier {
  deliver(notification: Notification): Promise<Posted>;
}
