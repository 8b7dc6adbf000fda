import { context, type Meter, SpanKind, type Tracer } from '@opentelemetry/api';
import {
  ATTRIBUTES,
  activeTrace,
  endFailed,
  isSampled,
  labelSets,
  markFailed,
  messaging,
  storedTraceOf,
  within,
} from '../../../eventstore/index.ts';
import { consume, messageTraces } from '../../engine/index.ts';

import { NOTIFICATION_KINDS } from '../port.ts';
import type { DeliveryOutcome, NotificationObserver } from './observer.ts';

interface TraceOptions {
  readonly tracer: Tracer;
  /** The log's prefix. */
  readonly prefix: string;
}

/**
 * A PRODUCER span for each notification, whose context is sent with it, and a CONSUMER span for each try to deliver
 * one, in the trace of what it tells of.
 */
export function traceNotifications(options: TraceOptions): NotificationObserver {
  return { aroundPublish: tracePublish(options), aroundDelivery: traceDelivery(options) };
}

function traceDelivery({
  tracer,
  prefix,
}: TraceOptions): NonNullable<NotificationObserver['aroundDelivery']> {
  return (given, run) => {
    const { notification, attempt } = given;
    const attributes = { [ATTRIBUTES.attempt]: attempt, [ATTRIBUTES.redelivered]: attempt > 1 };
    const about = { destination: `${prefix}n.${notification.kind}`, attributes };
    const traces = messageTraces([{ traceparent: notification.traceparent, tracestate: '' }]);
    return consume(tracer, 'process notification', traces, about, async (span) => {
      const tried = await run(given);
      const isThrough = tried.taken || tried.unwanted === true;
      span?.setAttribute(ATTRIBUTES.outcome, isThrough ? 'handled' : 'retried');
      if (span !== undefined && !isThrough) markFailed(span, new Error(tried.error));
      return tried;
    });
  };
}

function tracePublish({ tracer, prefix }: TraceOptions): NonNullable<NotificationObserver['aroundPublish']> {
  return async (notification, run) => {
    const above = activeTrace();
    if (above === undefined || !isSampled(above)) return run(notification);
    const parent = context.active();
    const span = tracer.startSpan('send notification', { kind: SpanKind.PRODUCER }, parent);
    span.setAttributes(
      messaging('publish', `${prefix}n.${notification.kind}`, { 'messaging.message.id': notification.id }),
    );
    try {
      const { traceparent } = storedTraceOf(span.spanContext());
      const result = await within(parent, span, () => run({ ...notification, traceparent }));
      span.end();
      return result;
    } catch (error) {
      endFailed(span, error);
      throw error;
    }
  };
}

/** What a message that is no notification is counted as. */
const NO_KIND = 'unreadable';
const OUTCOMES: readonly DeliveryOutcome[] = ['sent', 'retried', 'given_up'];

/** Counts deliveries by kind and outcome. */
export function meterNotifications(meter: Meter): NotificationObserver {
  const notifications = meter.createCounter('jetledger.notifications', {
    description: 'Notifications by what came of each try to deliver them',
  });
  const labels = labelSets('kind', 'outcome');
  for (const kind of NOTIFICATION_KINDS)
    for (const outcome of OUTCOMES) notifications.add(0, labels(kind, outcome));
  return {
    delivered: (notification, outcome) =>
      notifications.add(1, labels(notification?.kind ?? NO_KIND, outcome)),
  };
}
