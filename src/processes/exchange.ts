import {
  type Attributes,
  type Context,
  context,
  type Meter,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import { activeTrace, endFailed, isSampled, within } from '../eventstore/index.ts';

/** An outgoing request, as its span shows it. */
export interface OutgoingRequest {
  readonly method: string;
  /** The path with names for what differs from request to request; undefined where the path may hold a secret. */
  readonly template: string | undefined;
  readonly url: string;
}

/** What is sent and what came back, with the trace going out in the headers. */
export type Exchange = <T extends { readonly status: number }>(
  request: OutgoingRequest,
  headers: Record<string, string>,
  send: () => Promise<T>,
) => Promise<T>;

/** Puts the active trace into the headers, and makes no span. */
export const plainExchange: Exchange = (_request, headers, send) => {
  propagation.inject(context.active(), headers);
  return send();
};

/** A CLIENT span for each request, whose context goes out in `traceparent`. Answers of 400 and above show as errors. */
export function tracedExchange(tracer: Tracer): Exchange {
  return async (request, headers, send) => {
    const above = activeTrace();
    if (above === undefined || !isSampled(above)) return plainExchange(request, headers, send);
    const parent = context.active();
    const span = begin(tracer, request, parent);
    try {
      const answer = await within(parent, span, () => plainExchange(request, headers, send));
      endAnswered(span, answer.status);
      return answer;
    } catch (error) {
      endFailed(span, error, failureOf(error));
      throw error;
    }
  };
}

function begin(tracer: Tracer, { method, template, url }: OutgoingRequest, parent: Context): Span {
  const { hostname, port, protocol } = new URL(url);
  const name = template === undefined ? method : `${method} ${template}`;
  const attributes = {
    'http.request.method': method,
    'server.address': hostname,
    'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
    ...(template !== undefined && { 'url.template': template }),
  };
  return tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent);
}

function endAnswered(span: Span, status: number): void {
  span.setAttribute('http.response.status_code', status);
  if (status >= 400) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

/** An answer that could not be used has a status, too. */
function failureOf(error: unknown): Attributes {
  if (!(error instanceof Error)) return { 'error.type': 'unknown' };
  const status = 'status' in error && typeof error.status === 'number' ? error.status : undefined;
  return {
    'error.type': error.name,
    ...(status !== undefined && { 'http.response.status_code': status }),
  };
}

/**
 * An exchange that is timed, each try on its own. `server` is the role of who is asked, never an address.
 * @param inner what does the exchange
 */
export function meteredExchange(inner: Exchange, meter: Meter, server: 'payment' | 'webhook'): Exchange {
  const duration = meter.createHistogram('http.client.request.duration', {
    unit: 's',
    description: 'Of calls to other systems over HTTP, each try on its own',
  });
  return async (request, headers, send) => {
    const started = performance.now();
    const done = (status: string, error: string): void =>
      duration.record((performance.now() - started) / 1_000, {
        server,
        'http.response.status_code': status,
        'error.type': error,
      });
    try {
      const answer = await inner(request, headers, send);
      done(String(answer.status), answer.status >= 400 ? String(answer.status) : '');
      return answer;
    } catch (error) {
      const status = statusOf(error);
      done(status, status === '' ? reasonOf(error) : status);
      throw error;
    }
  };
}

/** Of an answer that counts as none; empty when nothing came. */
function statusOf(error: unknown): string {
  return error instanceof Error && 'status' in error && typeof error.status === 'number'
    ? String(error.status)
    : '';
}

function reasonOf(error: unknown): 'timeout' | 'connection' {
  return isTimeout(error) || (error instanceof Error && isTimeout(error.cause)) ? 'timeout' : 'connection';
}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError';
