import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { hrTimeToMilliseconds } from '@opentelemetry/core';
import type { ReadableSpan, SpanProcessor } from '@opentelemetry/sdk-trace-base';
import { summaryOf, type TraceSpan, type TraceSummary } from './trace-summary.ts';

/** The last traces of this process, in memory, for development. */
export interface DevTraces {
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

/** @param traces how many are kept; the oldest gives way to a new one. @param spansPerTrace how many spans of each */
export function createDevTraces({
  traces,
  spansPerTrace = SPANS_PER_TRACE,
}: {
  traces: number;
  spansPerTrace?: number;
}): DevTraces {
  // In the order of their first span.
  const kept = new Map<string, Kept>();

  const keep = (span: ReadableSpan): void => {
    const { traceId } = span.spanContext();
    let trace = kept.get(traceId);
    if (trace === undefined) {
      for (const oldest of kept.keys()) {
        if (kept.size < traces) break;
        kept.delete(oldest);
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
      shutdown: async () => kept.clear(),
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
