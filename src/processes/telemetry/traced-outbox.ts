import { context, SpanKind, type Tracer } from '@opentelemetry/api';
import { messaging } from '../../eventstore/telemetry/attributes.ts';
import { endFailed, within } from '../../eventstore/telemetry/spans.ts';
import { activeTrace, isSampled, storedTraceOf } from '../../eventstore/trace-context.ts';
import type { NotificationOutbox } from '../notification/port.ts';

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
