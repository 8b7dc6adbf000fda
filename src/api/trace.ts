import type { Span } from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import { parseTrace, type StoredTrace } from '../eventstore/trace-context.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set where tracing is on and the route is traced. */
    trace: RequestTrace | undefined;
  }
}

/** The trace of a request whose spans, if it is sampled, are made here. */
export interface RequestTrace {
  /** What is below the request's span joins by this. */
  readonly stored: { readonly traceparent: string; readonly tracestate?: string | undefined };
  readonly traceId: string;
  /** The request's span; undefined when it is not sampled, and once it has ended. */
  span: Span | undefined;
}

export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** The trace id of a W3C traceparent of version 00; undefined when it is not one. */
export function traceIdOfParent(traceparent: string): string | undefined {
  return parseTrace({ traceparent })?.traceId;
}

/** What a caller's headers say of its trace. */
export function traceHeadersOf({ headers }: FastifyRequest): StoredTrace {
  const { traceparent, tracestate } = headers;
  return {
    ...(typeof traceparent === 'string' && { traceparent }),
    ...(typeof tracestate === 'string' && { tracestate }),
  };
}

/**
 * The W3C trace context of a request: of its own span where tracing is on, else the caller's. An invalid one is as
 * good as none, as the specification demands.
 */
export function traceContextOf(request: FastifyRequest): TraceContext | undefined {
  if (request.trace !== undefined) return request.trace.stored;
  const given = traceHeadersOf(request);
  const parsed = parseTrace(given);
  if (given.traceparent === undefined || parsed === undefined) return undefined;
  const { tracestate } = given;
  return { traceparent: given.traceparent, ...(parsed.traceState !== undefined && { tracestate }) };
}

/** The trace that a request belongs to: its own where tracing is on, else its caller's, if it has named one. */
export function traceIdOf(request: FastifyRequest): string | undefined {
  return request.trace?.traceId ?? parseTrace(traceHeadersOf(request))?.traceId;
}
