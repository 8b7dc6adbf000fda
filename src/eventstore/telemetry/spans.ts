import { type Attributes, type Context, context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

/** Names of what spans say beyond the semantic conventions. Ids are fine in values, personal data is not. @internal */
export const ATTRIBUTES = {
  category: 'jetledger.category',
  aggregateId: 'jetledger.aggregate.id',
  outcome: 'jetledger.outcome',
  rejection: 'jetledger.rejection',
  version: 'jetledger.version',
  attempts: 'jetledger.attempts',
  repeated: 'jetledger.repeated',
  commands: 'jetledger.commands',
  position: 'jetledger.position',
  commitId: 'jetledger.commit.id',
  attempt: 'jetledger.attempt',
  redriven: 'jetledger.redriven',
  redelivered: 'jetledger.redelivered',
  views: 'jetledger.views',
  view: 'jetledger.view',
} as const;

/** What every span of a message says of it. The system has two names while the conventions rename it. @internal */
export function messaging(
  operation: 'append' | 'publish' | 'process',
  destination: string,
  more: Attributes = {},
): Attributes {
  return {
    'messaging.system': 'nats',
    'messaging.system.name': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation === 'process' ? 'process' : 'send',
    'messaging.destination.name': destination,
    ...more,
  };
}

/** Runs something with a span as the active one; does not end it. @internal */
export function within<T>(parent: Context, span: Span, run: () => T): T {
  return context.with(trace.setSpan(parent, span), run);
}

/** Ends the span of something that was thrown. @internal */
export function endFailed(span: Span, error: unknown, attributes: Attributes = {}): void {
  span.setAttributes(attributes);
  markFailed(span, error);
  span.end();
}

/** Says on a span what was thrown: the exception as an event, and the status with its message. @internal */
export function markFailed(span: Span, error: unknown): void {
  const known = error instanceof Error ? error : new Error(String(error));
  span.recordException(known);
  span.setStatus({ code: SpanStatusCode.ERROR, message: known.message });
}
