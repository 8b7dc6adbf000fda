import type { JsMsg } from '@nats-io/jetstream';
import {
  backoffMs,
  type Position,
  type Requests,
  type Runtime,
  traceHeadersOf,
} from '../../../eventstore/index.ts';
import { type QueueStatus, queueStatus, startWorkQueue } from '../../engine/index.ts';

import type { Notification, Notifier } from '../port.ts';
import type { NotificationObserver, TriedDelivery } from './observer.ts';
import { notificationStream, parseNotification, positionHeaderOf } from './outbox.ts';

/** One that will not be tried again. */
export interface GivenUp {
  /** Undefined when the message on the stream was none. */
  readonly notification: Notification | undefined;
  /** Of the event that it tells of, in the log; undefined when the message does not say. */
  readonly position: Position | undefined;
  /** Sequence in the stream. */
  readonly sequence: number;
  readonly attempts: number;
  /** When it was published, in milliseconds since the Unix epoch. */
  readonly firstAt: number;
  readonly error: unknown;
}

export interface DeliveryOptions {
  readonly requests: Pick<Requests, 'connection' | 'apiPrefix'>;
  readonly runtime: Runtime;
  /** The log's prefix. */
  readonly prefix: string;
  readonly notifier: Notifier;
  /** How many this instance delivers at once. */
  readonly maxInFlight?: number;
  /** How often one is tried. */
  readonly maxAttempts?: number;
  /** Bounds of the pause before the next try, in milliseconds. */
  readonly retryBaseMs?: number;
  readonly retryCapMs?: number;
  /** After how many milliseconds another instance gets what a dead one was delivering. */
  readonly ackWaitMs?: number;
  /** Waited for before one is let go: when it throws, the notification comes again. */
  readonly onGivenUp?: (givenUp: GivenUp) => void | Promise<void>;
  /** Told what goes wrong and is tried again. */
  readonly onTrouble?: (what: string, error: unknown) => void;
  readonly observer?: NotificationObserver | undefined;
}

const DURABLE = 'delivery';

/** How the delivery stands, over all instances; undefined while none has ever delivered. @throws LogUnavailable */
export function deliveryStatus(requests: Requests, prefix: string): Promise<QueueStatus | undefined> {
  return queueStatus(requests, notificationStream(prefix), DURABLE);
}

/**
 * Delivers what comes on the stream, each at least once and in no particular order, until `stop`; several instances
 * share the work. One that keeps failing is given up after `maxAttempts`, which takes about seven hours by default.
 */
export function startDelivery(options: DeliveryOptions): { stop(): Promise<void> } {
  const { requests, runtime, prefix, maxInFlight = 16, ackWaitMs = 30_000, onTrouble } = options;
  return startWorkQueue({
    requests,
    runtime,
    stream: notificationStream(prefix),
    durable: DURABLE,
    filter: `${prefix}n.>`,
    maxInFlight,
    ackWaitMs,
    handle: (msg, attempt) => {
      const once = () => deliver(options, msg, attempt);
      const { observer } = options;
      if (observer?.aroundDelivery === undefined) return once();
      // The subject's last token is the user's id.
      const destination = msg.subject.slice(0, msg.subject.lastIndexOf('.'));
      const trace = traceHeadersOf(msg.headers);
      return observer.aroundDelivery({ destination, attempt, trace }, once);
    },
    onTrouble: (error) => onTrouble?.('asking for notifications', error),
  });
}

async function deliver(options: DeliveryOptions, msg: JsMsg, attempt: number): Promise<TriedDelivery> {
  const { runtime, notifier, maxAttempts = 50, retryBaseMs = 1_000, retryCapMs = 900_000 } = options;
  const giveUp = async (
    notification: Notification | undefined,
    attempts: number,
    error: unknown,
  ): Promise<TriedDelivery> => {
    const firstAt = msg.time.getTime();
    const position = positionHeaderOf(msg);
    await options.onGivenUp?.({ notification, position, sequence: msg.seq, attempts, firstAt, error });
    options.observer?.delivered?.(notification, 'given_up');
    return { action: 'drop', reason: notification === undefined ? 'not a notification' : 'given up', error };
  };
  let notification: Notification;
  try {
    notification = parseNotification(msg.string());
  } catch (error) {
    return giveUp(undefined, 0, error);
  }
  if (attempt > maxAttempts) {
    return giveUp(notification, maxAttempts, new Error('The last try ended without a result.'));
  }
  try {
    await notifier.deliver(notification);
    options.observer?.delivered?.(notification, 'sent');
    return { action: 'done' };
  } catch (error) {
    if (attempt === maxAttempts) return giveUp(notification, attempt, error);
    options.observer?.delivered?.(notification, 'retried');
    options.onTrouble?.(`delivering the notification ${notification.id}, attempt ${attempt}`, error);
    return { action: 'retry', afterMs: backoffMs(runtime, attempt - 1, retryBaseMs, retryCapMs), error };
  }
}
