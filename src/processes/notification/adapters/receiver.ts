import type { Runtime } from '../../../eventstore/index.ts';
import type { Deliverable, DeliverySettings, Posted, Receiver } from '../../delivery/port.ts';
import type { Receivers } from '../../delivery/worker.ts';
import type { Notification, Notifier } from '../port.ts';
import type { NotificationObserver } from './observer.ts';
import { parseNotification } from './outbox.ts';

/** Under which name operators see the delivery of notifications, and what it gave up. */
export const NOTIFICATIONS = 'notifications';

interface ReceiverOptions {
  readonly notifier: Notifier;
  readonly observer: NotificationObserver;
  readonly onFailed: (notification: Notification, attempt: number, tried: Posted) => void;
  /** Keeps a try. */
  readonly keep: (
    event: Deliverable,
    attempt: number,
    tried: Posted,
    time: readonly [number, number],
  ) => void;
  readonly runtime: Pick<Runtime, 'now'>;
  /** How long it may ask to be left alone, in milliseconds. */
  readonly longestWaitMs: number;
}

/** The one receiver of notifications: it is always there, and order is not kept. */
export function notificationReceiver(options: ReceiverOptions): Receivers {
  const { notifier, observer, onFailed, longestWaitMs, runtime, keep } = options;
  const receiver: Receiver = {
    ...{ id: NOTIFICATIONS, enabled: true, ordered: false, createdAt: 0, renewedAt: 0, requests: [] },
    wants: () => true,
    deliver: async (event, attempt) => {
      const notification = parseNotification(event.body());
      const run = (): Promise<Posted> => notifier.deliver(notification);
      const around = observer.aroundDelivery;
      const at = runtime.now();
      const tried = await (around === undefined ? run() : around({ notification, attempt }, run));
      if (tried.unwanted === true) return tried;
      keep(event, attempt, tried, [at, runtime.now()]);
      observer.delivered?.(notification, tried.taken ? 'sent' : 'retried');
      if (!tried.taken) onFailed(notification, attempt, tried);
      return { ...tried, retryAfterMs: Math.min(tried.retryAfterMs ?? 0, longestWaitMs) };
    },
  };
  return {
    all: () => [receiver],
    get: (id) => (id === NOTIFICATIONS ? receiver : undefined),
    watch: () => undefined,
  };
}

const MINUTE_MS = 60_000;
const LONGEST_TRY_MS = 7 * 60 * MINUTE_MS;

/**
 * How notifications are delivered.
 * @param keepMs how long the stream keeps one. A receiver that takes nothing is given up at a third of it: whatever has
 *   come meanwhile is a dead letter, too, before the stream drops it
 */
export function notificationDelivery(
  keepMs: number,
): Partial<DeliverySettings> & Pick<DeliverySettings, 'retryCapMs'> {
  const giveUpMs = Math.min(LONGEST_TRY_MS, keepMs / 3);
  return {
    ...{ maxInFlight: 32, maxOpen: 2_000, retryBaseMs: 1_000, giveUpMs },
    retryCapMs: Math.min(15 * MINUTE_MS, giveUpMs / 10),
    pauseCapMs: Math.min(MINUTE_MS, giveUpMs / 10),
  };
}
