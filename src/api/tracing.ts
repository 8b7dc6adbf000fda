import { ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { contextOf, isSampled, parseTrace, storedTraceOf } from '../eventstore/trace-context.ts';
import { type RequestTrace, traceContextOf, traceHeadersOf, traceIdOf } from './trace.ts';

/** Asked all the time, or about the service and not about its business. */
const UNTRACED = /^\/(health|metrics|dev|docs|openapi\.json)(\/|$)/;

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
  app.addHook('onRequest', (request, reply, done) => {
    if (UNTRACED.test(request.routeOptions.url ?? pathOf(request))) return done();
    const { stored, traceId, spanId } = begin(request, tracer);
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

function begin(request: FastifyRequest, tracer: Tracer): RequestTrace & { readonly spanId: string } {
  const parent =
    request.headers.traceparent === undefined ? ROOT_CONTEXT : contextOf(parseTrace(traceHeadersOf(request)));
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
