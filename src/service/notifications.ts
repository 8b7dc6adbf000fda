import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import { combineObservers, type Runtime, systemRuntime } from '../eventstore/index.ts';
import { attemptOf, openAttempts } from '../processes/delivery/adapters/attempts.ts';
import { createDialler } from '../processes/delivery/adapters/dial.ts';
import type { DeliveryOutlet } from '../processes/delivery/port.ts';
import { deliveryWorker, readPlace } from '../processes/delivery/worker.ts';
import {
  type Buckets,
  type EngineObserver,
  type GivenUpMessage,
  openMessageDeadLetters,
  type Worker,
} from '../processes/engine/index.ts';
import { type ExchangeObserver, meterExchange, traceExchange } from '../processes/exchange.ts';
import { deadLetterOf, notificationsOf } from '../processes/notification/adapters/dead-letters.ts';
import { carryOver, formerPlace } from '../processes/notification/adapters/former.ts';
import { createLogNotifier, createWebhookNotifier } from '../processes/notification/adapters/notifiers.ts';
import type { NotificationObserver } from '../processes/notification/adapters/observer.ts';
import {
  createNatsOutbox,
  notificationStream,
  parseNotification,
} from '../processes/notification/adapters/outbox.ts';
import {
  NOTIFICATIONS,
  notificationDelivery,
  notificationReceiver,
} from '../processes/notification/adapters/receiver.ts';
import { notificationSource } from '../processes/notification/adapters/source.ts';
import { meterNotifications, traceNotifications } from '../processes/notification/adapters/telemetry.ts';
import type { NotificationOutbox, Notifier } from '../processes/notification/port.ts';
import type { Base } from './base.ts';
import type { Nats } from './open.ts';

/** How long the receiver may take to answer. */
const ANSWER_MS = 5_000;

interface NotificationDeps extends Pick<Base, 'config' | 'metering'> {
  readonly nats: Pick<Nats, 'requests'>;
  readonly logger: Pick<Logger, 'child' | 'warn' | 'error'>;
  readonly tracer: Tracer | undefined;
  readonly buckets: Buckets;
  readonly observer: EngineObserver;
  readonly isForgotten: (userId: string) => Promise<boolean>;
}

/** Puts notifications on their stream and delivers them; the worker is the engine's to run. */
export function startNotifications(deps: NotificationDeps): {
  readonly outbox: NotificationOutbox;
  readonly worker: Worker;
  stop(): Promise<void>;
} {
  const { metering, tracer, buckets } = deps;
  const { requests, runtime, prefix, timeoutMs, onTrouble } = commonOf(deps);
  const observer = combineObservers<NotificationObserver>(
    tracer && traceNotifications({ tracer, prefix }),
    metering && meterNotifications(metering.meter),
  );
  const outbox = createNatsOutbox({ requests, prefix, timeoutMs, observer });
  const deadLetters = openMessageDeadLetters({
    ...{ buckets, prefix, runtime, name: NOTIFICATIONS, onTrouble, observer: deps.observer },
    again: async (entry, { at }) => {
      for (const notification of notificationsOf(entry))
        await outbox.publishAgain(notification, entry.position, `again-${at}`);
    },
  });
  const { notifier, close } = notifierOf(deps);
  const stopping = new AbortController();
  const isPlaced = async (): Promise<boolean> =>
    (await readPlace(buckets, prefix, NOTIFICATIONS))?.sources[notificationStream(prefix)] !== undefined;
  const carrying = carryOver({ ...commonOf(deps), isPlaced }, stopping.signal);
  return {
    outbox,
    worker: workerOf(deps, {
      notifier: exceptForgotten(notifier, deps.isForgotten),
      observer,
      keep: deadLetters.keep,
    }),
    stop: async () => {
      stopping.abort();
      close();
      await Promise.all([deadLetters.stop(), carrying]);
    },
  };
}

function commonOf({ config, nats, logger }: NotificationDeps) {
  return {
    requests: nats.requests,
    runtime: systemRuntime,
    prefix: config.log.prefix,
    timeoutMs: config.nats.requestTimeoutMs,
    onTrouble: (what: string, err: unknown): void => logger.warn({ err }, what),
  };
}

function notifierOf(deps: NotificationDeps): { readonly notifier: Notifier; close(): void } {
  const { config, metering, tracer, logger } = deps;
  const { adapter, url, secret } = config.notifications;
  // As with a request's line: each field is made here, and to look for what must be masked takes ten times as long.
  if (adapter === 'log')
    return { notifier: createLogNotifier(logger.child({}, { redact: [] })), close: () => undefined };
  const observer = combineObservers<ExchangeObserver>(
    tracer && traceExchange(tracer),
    metering && meterExchange(metering.meter, 'webhook'),
  );
  const dialler = createDialler({ targets: 'any', timeoutMs: ANSWER_MS });
  const notifier = createWebhookNotifier({ url, secret, runtime: systemRuntime, dialler, observer });
  return { notifier, close: dialler.close };
}

/** What happened so short a time ago is told without asking whether the person was forgotten since, in milliseconds. */
const JUST_NOW_MS = 10_000;

/** Nobody is told anything who was forgotten; what waits for them is done with. */
export function exceptForgotten(
  notifier: Notifier,
  isForgotten: NotificationDeps['isForgotten'],
  runtime: Pick<Runtime, 'now'> = systemRuntime,
): Notifier {
  return {
    deliver: async (notification) => {
      const { userId, time } = notification;
      try {
        const isOld = runtime.now() - time > JUST_NOW_MS;
        if (isOld && (await isForgotten(userId))) return { taken: false, unwanted: true };
      } catch {
        return { taken: false, error: 'the list of customers cannot be read' };
      }
      return notifier.deliver(notification);
    },
  };
}

function workerOf(
  deps: NotificationDeps,
  to: {
    readonly notifier: Notifier;
    readonly observer: NotificationObserver;
    readonly keep: (letter: GivenUpMessage) => Promise<void>;
  },
): Worker {
  const { config, logger, buckets } = deps;
  const { notifier, observer, keep } = to;
  const { requests, runtime, prefix, timeoutMs, onTrouble } = commonOf(deps);
  const stream = { requests, runtime, prefix, timeoutMs };
  const lost = 'a notification was given up';
  const settings = notificationDelivery(config.notifications.keepMs);
  const source = notificationSource({
    ...stream,
    beginning: () => formerPlace(stream),
    onUnreadable: (sequence, err) => {
      observer.delivered?.(undefined, 'given_up');
      logger.error({ sequence, err }, lost);
    },
  });
  const attempts = openAttempts(requests, prefix, timeoutMs);
  const receivers = notificationReceiver({
    // What the receiver answers is not shown: it may speak of the person.
    keep: (event, attempt, { answer: _, ...posted }, time) =>
      attempts.keep(NOTIFICATIONS, attemptOf(event, attempt, posted, time)),
    ...{ notifier, observer, runtime, longestWaitMs: settings.retryCapMs },
    onFailed: ({ id }, attempt, { error }) =>
      logger.warn({ notificationId: id, attempt, reason: error }, 'a notification was not taken'),
  });
  const outlet: DeliveryOutlet = {
    giveUp: async (given) => {
      await keep(deadLetterOf(given));
      observer.delivered?.(parseNotification(given.event.body()), 'given_up');
      logger.error({ notificationId: given.event.id, reason: given.error }, lost);
    },
    trouble: onTrouble,
  };
  return deliveryWorker({
    ...{ name: NOTIFICATIONS, buckets, prefix, runtime, sources: [source] },
    ...{ receivers, outlet, settings },
  });
}
