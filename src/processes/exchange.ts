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
import { type Around, activeTrace, endFailed, isSampled, within } from '../eventstore/index.ts';

/** An outgoing request, as its span shows it. */
export interface OutgoingRequest {
  readonly method: string;
  /** The path with names for what differs from request to request; undefined where the path may hold a secret. */
  readonly template: string | undefined;
  readonly url: string;
}

/** Told of requests to other systems, each try on its own. A plain object of functions, each of which may be absent. */
export interface ExchangeObserver {
  readonly aroundRequest?: Around<OutgoingRequest, { readonly status: number }>;
  answered?(request: OutgoingRequest, status: number, ms: number): void;
  failed?(request: OutgoingRequest, error: unknown, ms: number): void;
}

/** Sends a request and waits for what comes back; the trace goes out in the headers. */
export async function exchange<T extends { readonly status: number }>(
  observer: ExchangeObserver | undefined,
  request: OutgoingRequest,
  headers: Record<string, string>,
  send: () => Promise<T>,
): Promise<T> {
  const run = (): Promise<T> => {
    propagation.inject(context.active(), headers);
    return send();
  };
  const started = performance.now();
  try {
    const answer = await (observer?.aroundRequest === undefined
      ? run()
      : observer.aroundRequest(request, run));
    observer?.answered?.(request, answer.status, performance.now() - started);
    return answer;
  } catch (error) {
    observer?.failed?.(request, error, performance.now() - started);
    throw error;
  }
}

/** A CLIENT span for each request, whose context goes out in `traceparent`. Answers of 400 and above show as errors. */
export function traceExchange(tracer: Tracer): ExchangeObserver {
  return {
    aroundRequest: async (request, run) => {
      const above = activeTrace();
      if (above === undefined || !isSampled(above)) return run(request);
      const parent = context.active();
      const span = begin(tracer, request, parent);
      try {
        const answer = await within(parent, span, () => run(request));
        endAnswered(span, answer.status);
        return answer;
      } catch (error) {
        endFailed(span, error, failureOf(error));
        throw error;
      }
    },
  };
}

function begin(tracer: Tracer, { method, template, url }: OutgoingRequest, parent: Context): Span {
  const name = template === undefined ? method : `${method} ${template}`;
  const attributes = {
    'http.request.method': method,
    ...serverOf(url),
    ...(template !== undefined && { 'url.template': template }),
  };
  return tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent);
}

/** The host, by the names of the semantic conventions; never a path, which may hold a secret. */
function serverOf(url: string): Attributes {
  const { hostname, port, protocol } = new URL(url);
  return {
    'server.address': hostname,
    'server.port': Number(port || (protocol === 'https:' ? 443 : 80)),
  };
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

/** Times requests, each try on its own. `server` is the role of who is asked. */
export function meterExchange(meter: Meter, server: 'payment' | 'webhook'): ExchangeObserver {
  const duration = meter.createHistogram('http.client.request.duration', {
    unit: 's',
    description: 'Of calls to other systems over HTTP, each try on its own',
  });
  const record = ({ method, url }: OutgoingRequest, ms: number, status: string, error: string): void =>
    duration.record(ms / 1_000, {
      server,
      'http.request.method': method,
      ...serverOf(url),
      'http.response.status_code': status,
      'error.type': error,
    });
  return {
    answered: (request, status, ms) =>
      record(request, ms, String(status), status >= 400 ? String(status) : ''),
    failed: (request, error, ms) => {
      const status = statusOf(error);
      record(request, ms, status, status === '' ? reasonOf(error) : status);
    },
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
