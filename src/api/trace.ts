import type { FastifyRequest } from 'fastify';

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;

export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** The trace id of a W3C traceparent of version 00; undefined when it is not one. */
export function traceIdOfParent(traceparent: string): string | undefined {
  return TRACEPARENT.exec(traceparent)?.[1];
}

/** The caller's W3C trace context; an invalid one is as good as none, as the specification demands. */
export function traceContextOf(request: FastifyRequest): TraceContext | undefined {
  const { traceparent, tracestate } = request.headers;
  if (typeof traceparent !== 'string' || !TRACEPARENT.test(traceparent)) return undefined;
  const valid = typeof tracestate === 'string' && TRACESTATE.test(tracestate);
  return { traceparent, ...(valid && { tracestate }) };
}

/** The trace that a request belongs to, if its caller named one. */
export function traceIdOf(request: FastifyRequest): string | undefined {
  const context = traceContextOf(request);
  return context && traceIdOfParent(context.traceparent);
}
