import { type Attributes, type Context, context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

/** Runs something with a span as the active one; does not end it. */
export function within<T>(parent: Context, span: Span, run: () => T): T {
  return context.with(trace.setSpan(parent, span), run);
}

/** Ends the span of something that was thrown. */
export function endFailed(span: Span, error: unknown, attributes: Attributes = {}): void {
  span.setAttributes(attributes);
  markFailed(span, error);
  span.end();
}

/** Says on a span what was thrown: the exception as an event, and the status with its message. */
export function markFailed(span: Span, error: unknown): void {
  const known = error instanceof Error ? error : new Error(String(error));
  span.recordException(known);
  span.setStatus({ code: SpanStatusCode.ERROR, message: known.message });
}
