import { context, type Meter, SpanKind, type Tracer } from '@opentelemetry/api';
import {
  ATTRIBUTES,
  activeTrace,
  endFailed,
  isSampled,
  markFailed,
  messaging,
  storedTraceOf,
  within,
} from '../../../eventstore/index.ts';
import { consume, messageTraces } from '../../engine/index.ts';

import { NOTIFICATION_KINDS, type Notification, type NotificationOutbox } from '../port.ts';
import type { AroundDelivery, DeliveryOutcome } from './delivery.ts';

const ATTRIBUTE_OF_ACTION = { done: 'handled', retry: 'retried', drop: 'given_up' } as const;

/** A CONSUMER span for each try to deliver a notification, in the trace of what it tells of. */
export function traceDelivery(tracer: Tracer): AroundDelivery {
  return ({ destination, attempt, trace }, deliver) => {
    const attributes = { [ATTRIBUTES.attempt]: attempt, [ATTRIBUTES.redelivered]: attempt > 1 };
    const about = { destination, attributes };
    return consume(tracer, 'process notification', messageTraces([trace]), about, async (span) => {
      const result = await deliver();
      span?.setAttribute(ATTRIBUTES.outcome, ATTRIBUTE_OF_ACTION[result.action]);
      if (span !== undefined && result.error !== undefined) markFailed(span, result.error);
      return result;
    });
  };
}

/** An outbox that makes a PRODUCER span of each notification and sends that span's context with it. */
export function traceOutbox(
  outbox: NotificationOutbox,
  { tracer, prefix }: { tracer: Tracer; prefix: string },
): NotificationOutbox {
  return {
    publish: async (notification) => {
      const above = activeTrace();
      if (above === undefined || !isSampled(above)) return outbox.publish(notification);
      const parent = context.active();
      const span = tracer.startSpan('send notification', { kind: SpanKind.PRODUCER }, parent);
      span.setAttributes(
        messaging('publish', `${prefix}n.${notification.kind}`, {
          'messaging.message.id': notification.id,
        }),
      );
      try {
        const { traceparent } = storedTraceOf(span.spanContext());
        await within(parent, span, () => outbox.publish({ ...notification, traceparent }));
        span.end();
      } catch (error) {
        endFailed(span, error);
        throw error;
      }
    },
  };
}

/** What a message that is no notification is counted as. */
const NO_KIND = 'unreadable';
const OUTCOMES: readonly DeliveryOutcome[] = ['sent', 'retried', 'given_up'];

/** Counts deliveries by kind and outcome. */
export function meterNotifications(
  meter: Meter,
): (notification: Notification | undefined, outcome: DeliveryOutcome) => void {
  const notifications = meter.createCounter('jetledger.notifications', {
    description: 'Notifications by what came of each try to deliver them',
  });
  for (const kind of NOTIFICATION_KINDS)
    for (const outcome of OUTCOMES) notifications.add(0, { kind, outcome });
  return (notification, outcome) => notifications.add(1, { kind: notification?.kind ?? NO_KIND, outcome });
}
