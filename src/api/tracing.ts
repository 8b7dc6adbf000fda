import {
  type Context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { contextOf, isSampled, parseTrace, type StoredTrace, storedTraceOf } from '../eventstore/index.ts';

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

/** The trace id of a W3C traceparent; undefined when it is not one. */
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
  if (parsed === undefined) return undefined;
  // Written anew, in the version and with the flags that are understood here; what reads the log knows no others.
  const { traceparent } = storedTraceOf(parsed);
  return { traceparent, ...(parsed.traceState !== undefined && { tracestate: given.tracestate }) };
}

/** The trace that a request belongs to: its own where tracing is on, else its caller's, if it has named one. */
export function traceIdOf(request: FastifyRequest): string | undefined {
  return request.trace?.traceId ?? parseTrace(traceHeadersOf(request))?.traceId;
}

/** Asked all the time, or about the service and not about its business. */
const UNTRACED = /^\/(health|metrics|dev|console|docs|openapi\.json|v1\/admin\/(live|log|traces))(\/|$)/;

/**
 * One SERVER span per request, and `traceparent` in each answer: the span's, or the caller's own without a tracer. To
 * be called before other hooks are added, so that their lines of the log name the trace.
 *
 * The span is handed on with the request and its commands and not through an asynchronous context: on Node 20 that
 * would slow every promise of the process down, which costs more than all spans together (docs/telemetry.md).
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer | undefined): void {
  app.decorateRequest('trace', undefined);
  if (tracer === undefined) {
    app.addHook('onRequest', (request, reply, done) => {
      const own = traceContextOf(request);
      if (own !== undefined) {
        reply.header('traceparent', own.traceparent);
        logWith(request, reply, { trace_id: traceIdOf(request) });
      }
      done();
    });
    return;
  }
  const callerOf = createCallerOf();
  app.addHook('onRequest', (request, reply, done) => {
    if (UNTRACED.test(request.routeOptions.url ?? pathOf(request))) return done();
    const { stored, traceId, spanId } = begin(request, tracer, callerOf(request));
    reply.header('traceparent', stored.traceparent);
    logWith(request, reply, { trace_id: traceId, span_id: spanId });
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply);
    done();
  });
}

/** Asked of each sampled request alone: as a hook it would be a listener of every request. */
function endWhenAborted(request: FastifyRequest, span: Span): void {
  request.raw.once('close', () => {
    if (!request.raw.aborted) return;
    span.setAttribute('jetledger.aborted', true);
    end(request, undefined);
  });
}

/** The lines of the log about a request say which trace it belongs to. */
function logWith(request: FastifyRequest, reply: FastifyReply, fields: object): void {
  const log = request.log.child(fields);
  request.log = log;
  reply.log = log;
}

/** Notes on a request's span with which problem it was answered. */
export function traceProblem(request: FastifyRequest, code: string): void {
  request.trace?.span?.setAttribute('jetledger.problem.code', code);
}

const W3C: readonly string[] = ['traceparent', 'tracestate'];

/** Reads the caller's trace in what headers `OTEL_PROPAGATORS` names; the W3C's, unless it does, by hand. */
function createCallerOf(): (request: FastifyRequest) => Context {
  const others = propagation.fields().some((field) => !W3C.includes(field));
  if (others) return ({ headers }) => propagation.extract(ROOT_CONTEXT, headers);
  return (request) =>
    request.headers.traceparent === undefined ? ROOT_CONTEXT : contextOf(parseTrace(traceHeadersOf(request)));
}

function begin(
  request: FastifyRequest,
  tracer: Tracer,
  parent: Context,
): RequestTrace & { readonly spanId: string } {
  const route = request.routeOptions.url;
  const name = route === undefined ? request.method : `${request.method} ${route}`;
  const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, parent);
  const own = span.spanContext();
  const begun = {
    stored: storedTraceOf(own),
    traceId: own.traceId,
    spanId: own.spanId,
    span: isSampled(own) ? span : undefined,
  };
  request.trace = begun;
  if (begun.span !== undefined) endWhenAborted(request, span);
  return begun;
}

function end(request: FastifyRequest, reply: FastifyReply | undefined): void {
  const span = request.trace?.span;
  if (request.trace === undefined || span === undefined) return;
  request.trace.span = undefined;
  describe(span, request, reply?.statusCode);
  span.end();
}

function describe(span: Span, request: FastifyRequest, status: number | undefined): void {
  const route = request.routeOptions.url;
  span.setAttribute('http.request.method', request.method);
  if (route !== undefined) span.setAttribute('http.route', route);
  span.setAttribute('url.scheme', request.protocol);
  if (status === undefined) return;
  span.setAttribute('http.response.status_code', status);
  if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
}

function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? '';
}
