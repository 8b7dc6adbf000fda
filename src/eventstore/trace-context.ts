import {
  type Context,
  context,
  createContextKey,
  createTraceState,
  ROOT_CONTEXT,
  type SpanContext,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

/** The name under which every span and metric of the product is made. */
export const INSTRUMENTATION = 'jetledger';

/** A W3C trace context as it travels in headers and is stored in decisions; empty or absent where there is none. */
export interface StoredTrace {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;
const COMMIT_ID = createContextKey('jetledger commit id');

/** The context that a W3C traceparent of version 00 names; undefined when it is none, which is as good as absent. */
export function parseTrace({ traceparent, tracestate }: StoredTrace): SpanContext | undefined {
  const found = traceparent ? TRACEPARENT.exec(traceparent) : null;
  const [, traceId, spanId, flags] = found ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  const state = tracestate && TRACESTATE.test(tracestate) ? createTraceState(tracestate) : undefined;
  return { traceId, spanId, traceFlags, isRemote: true, ...(state !== undefined && { traceState: state }) };
}

/** A context as headers carry it. */
export function storedTraceOf(span: SpanContext): { traceparent: string; tracestate?: string } {
  const traceparent = `00-${span.traceId}-${span.spanId}-${isSampled(span) ? '01' : '00'}`;
  const tracestate = span.traceState?.serialize();
  return tracestate ? { traceparent, tracestate } : { traceparent };
}

/** Whether its spans are recorded. */
export function isSampled(span: SpanContext): boolean {
  return (span.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** A context of execution in which a stored trace is the active one; the root when there is none. */
export function contextOf(stored: SpanContext | undefined): Context {
  return stored === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, stored);
}

/** The trace that is under way here, sampled or not; undefined outside of any, and always while tracing is off. */
export function activeTrace(): SpanContext | undefined {
  return trace.getSpanContext(context.active());
}

/** Marks what runs in a context as the handling of a commit. */
export function withCommitId(parent: Context, commitId: string): Context {
  return parent.setValue(COMMIT_ID, commitId);
}

/** The commit that is being handled here, if any. */
export function activeCommitId(): string | undefined {
  const id = context.active().getValue(COMMIT_ID);
  return typeof id === 'string' ? id : undefined;
}
