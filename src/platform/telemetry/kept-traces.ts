import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { hrTimeToMilliseconds } from '@opentelemetry/core';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base';

/** A trace in the list of the last ones. Times in milliseconds since the Unix epoch, with fractions. */
export interface TraceSummary {
  readonly traceId: string;
  /** Of the span without a parent here, else of the one that began first. */
  readonly name: string;
  /** How the request that began it was answered: `201`, or `404 order/not-found`. */
  readonly answer?: string;
  readonly start: number;
  /** From the first begin to the last end, in milliseconds; without what a timer or an operator began later. */
  readonly durationMs: number;
  readonly spans: number;
  /** Spans that were left out, because a trace keeps only so many. */
  readonly omitted: number;
  /** Whether some span of it has failed. */
  readonly error: boolean;
  /** Where it went wrong: the span that failed first, and its sentence. */
  readonly failed?: { readonly name: string; readonly reason?: string };
  /** Who took part: `api`, the consumers of events, servers that were called. */
  readonly parts: string[];
  /** Of the aggregates and orders that its spans name, some twenty at most. */
  readonly ids: string[];
}

type Value = string | number | boolean | readonly (string | number | boolean | null | undefined)[];
type Values = Readonly<Record<string, Value | undefined>>;

/** A span of a trace. Times in milliseconds since the Unix epoch, with fractions. */
export interface TraceSpan {
  readonly spanId: string;
  /** Absent where it began the trace. */
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly start: number;
  readonly end: number;
  readonly attributes: Values;
  readonly events: { readonly name: string; readonly time: number; readonly attributes: Values }[];
  readonly links: { readonly traceId: string; readonly spanId: string }[];
  readonly status: 'unset' | 'ok' | 'error';
  /** Why it failed, in a sentence. */
  readonly error?: string;
}

const MAX_IDS = 20;

/** What the list of the last traces says of one. */
export function summaryOf(traceId: string, spans: readonly TraceSpan[], omitted: number): TraceSummary {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const byStart = spans.toSorted((a, b) => a.start - b.start);
  const root = byStart.find(({ parentSpanId }) => parentSpanId === undefined || !known.has(parentSpanId));
  const start = byStart[0]?.start ?? 0;
  const answer = root && answerOf(root);
  // What is below ends first, so this is where it went wrong and not what it made fail above.
  const failed = spans
    .filter(({ status }) => status === 'error')
    .reduce<TraceSpan | undefined>(
      (first, span) => (first && first.end <= span.end ? first : span),
      undefined,
    );
  return {
    traceId,
    name: root?.name ?? '',
    ...(answer !== undefined && { answer }),
    start,
    durationMs: Math.max(0, ...withoutLater(byStart).map(({ end }) => end - start)),
    spans: spans.length,
    omitted,
    error: failed !== undefined,
    ...(failed && {
      failed: { name: failed.name, ...(failed.error !== undefined && { reason: failed.error }) },
    }),
    parts: distinct(byStart.map(partOf)),
    ids: distinct(byStart.flatMap(idsOf)).slice(0, MAX_IDS),
  };
}

/**
 * The spans of what followed at once. A timer belongs to the trace of what armed it, and fires seconds or days later; a
 * redrive to that of the event. @param byStart a parent comes before what is below it
 */
function withoutLater(byStart: readonly TraceSpan[]): readonly TraceSpan[] {
  const later = new Set<string>();
  return byStart.filter(({ spanId, parentSpanId = '', attributes }) => {
    const isLater =
      later.has(parentSpanId) ||
      attributes['jetledger.timer.kind'] !== undefined ||
      attributes['jetledger.redriven'] === true;
    if (isLater) later.add(spanId);
    return !isLater;
  });
}

/** `201`, or `404 order/not-found`; nothing for what is no request. */
function answerOf({ attributes }: TraceSpan): string | undefined {
  const status = attributes['http.response.status_code'];
  if (status === undefined) return undefined;
  const code = attributes['jetledger.problem.code'];
  return code === undefined ? String(status) : `${status} ${code}`;
}

function partOf({ kind, name, attributes }: TraceSpan): string | undefined {
  if (kind === 'server') return 'api';
  if (kind === 'client') return text(attributes['server.address']);
  if (kind !== 'consumer') return undefined;
  return text(attributes['messaging.consumer.group.name']) ?? name;
}

function idsOf({ attributes }: TraceSpan): (string | undefined)[] {
  return [text(attributes['jetledger.aggregate.id']), text(attributes['jetledger.order.id'])];
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))];
}

/** The last traces of this process, in memory. */
export interface KeptTraces {
  /** The newest first. */
  list(limit: number): readonly TraceSummary[];
  /** Its spans by their begin; undefined when it is not kept. */
  trace(traceId: string): readonly TraceSpan[] | undefined;
  readonly processor: SpanProcessor;
}

interface Kept {
  readonly spans: TraceSpan[];
  omitted: number;
}

const SPANS_PER_TRACE = 500;
/** So many traces that have given way are remembered for each that is kept: what comes late of them opens no new one. */
const GONE_PER_TRACE = 50;
const KINDS = {
  [SpanKind.INTERNAL]: 'internal',
  [SpanKind.SERVER]: 'server',
  [SpanKind.CLIENT]: 'client',
  [SpanKind.PRODUCER]: 'producer',
  [SpanKind.CONSUMER]: 'consumer',
} as const;
const STATUS = {
  [SpanStatusCode.UNSET]: 'unset',
  [SpanStatusCode.OK]: 'ok',
  [SpanStatusCode.ERROR]: 'error',
} as const;

/**
 * Keeps whole traces: one that has given way does not come back with its late spans, each of which would push out
 * another one.
 * @param traces how many are kept; the oldest gives way to a new one. @param spansPerTrace how many spans of each */
export function createKeptTraces({
  traces,
  spansPerTrace = SPANS_PER_TRACE,
}: {
  traces: number;
  spansPerTrace?: number;
}): KeptTraces {
  // In the order of their first span.
  const kept = new Map<string, Kept>();
  // In the order in which they went.
  const gone = new Set<string>();

  const evict = (traceId: string): void => {
    kept.delete(traceId);
    gone.add(traceId);
    const [first = ''] = gone;
    if (gone.size > traces * GONE_PER_TRACE) gone.delete(first);
  };

  const keep = (span: ReadableSpan): void => {
    const { traceId } = span.spanContext();
    let trace = kept.get(traceId);
    if (trace === undefined) {
      if (gone.has(traceId)) return;
      for (const oldest of kept.keys()) {
        if (kept.size < traces) break;
        evict(oldest);
      }
      trace = { spans: [], omitted: 0 };
      kept.set(traceId, trace);
    }
    if (trace.spans.length < spansPerTrace) trace.spans.push(spanOf(span));
    else trace.omitted++;
  };

  return {
    list: (limit) =>
      [...kept]
        .slice(-limit)
        .reverse()
        .map(([traceId, { spans, omitted }]) => summaryOf(traceId, spans, omitted)),
    trace: (traceId) => kept.get(traceId)?.spans.toSorted((a, b) => a.start - b.start),
    processor: {
      onStart: () => undefined,
      onEnd: keep,
      forceFlush: async () => undefined,
      shutdown: async () => {
        kept.clear();
        gone.clear();
      },
    },
  };
}

function spanOf(span: ReadableSpan): TraceSpan {
  const { parentSpanContext, status } = span;
  return {
    spanId: span.spanContext().spanId,
    ...(parentSpanContext !== undefined && { parentSpanId: parentSpanContext.spanId }),
    name: span.name,
    kind: KINDS[span.kind],
    start: hrTimeToMilliseconds(span.startTime),
    end: hrTimeToMilliseconds(span.endTime),
    attributes: span.attributes,
    events: span.events.map(({ name, time, attributes = {} }) => ({
      name,
      time: hrTimeToMilliseconds(time),
      attributes,
    })),
    links: span.links.map(({ context: { traceId, spanId } }) => ({ traceId, spanId })),
    status: STATUS[status.code],
    ...(status.message !== undefined && { error: status.message }),
  };
}
