import { deepStrictEqual, fail } from 'node:assert/strict';
import { type Attributes, context, type Meter, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

/** A tracer whose spans stay here. */
export interface RecordedSpans extends AsyncDisposable {
  readonly tracer: Tracer;
  /** Those that have ended, in that order. */
  spans(): readonly ReadableSpan[];
  /**
   * A span of this name that has these attributes, those of them that are given.
   * @throws AssertionError that lists the names there are, or the attributes of those of that name
   */
  thenSpan(name: string, attributes?: Attributes): ReadableSpan;
}

/** Records every span; to be given to `traceStore`, `traceEngine` and `traceProjections`, or through `openLedger`. */
export function recordSpans(): RecordedSpans {
  // Spans find their parents through it; without one there are none.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  return {
    tracer: provider.getTracer('test'),
    spans: () => exporter.getFinishedSpans(),
    thenSpan: (name, attributes = {}) => {
      const named = exporter.getFinishedSpans().filter((span) => span.name === name);
      const found = named.find((span) => hasAll(span.attributes, attributes));
      if (found !== undefined) return found;
      if (named[0] !== undefined) deepStrictEqual(picked(named[0].attributes, attributes), attributes);
      const others = [...new Set(exporter.getFinishedSpans().map((span) => span.name))];
      return fail(`no span is called ${name}; there are: ${others.join(', ') || 'none'}`);
    },
    [Symbol.asyncDispose]: async () => {
      context.disable();
      await provider.shutdown();
    },
  };
}

/** A meter whose values stay here. */
export interface RecordedMetrics extends AsyncDisposable {
  readonly meter: Meter;
  /** The sum of a counter, an up-down counter or a gauge over all its points that have these labels; 0 without one. */
  sum(name: string, labels?: Attributes): Promise<number>;
}

const NEVER_MS = 2 ** 30;

/** Records every metric; to be given to `meterStore`, `meterEngine` and `meterProjections`. */
export function recordMetrics(): RecordedMetrics {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: NEVER_MS });
  const provider = new MeterProvider({ readers: [reader] });
  return {
    meter: provider.getMeter('test'),
    sum: async (name, labels = {}) => {
      const { resourceMetrics } = await reader.collect();
      const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
      return metrics
        .filter(({ descriptor }) => descriptor.name === name)
        .flatMap(({ dataPoints }): readonly DataPoint<unknown>[] => dataPoints)
        .filter(({ attributes }) => hasAll(attributes, labels))
        .reduce((sum, { value }) => sum + (typeof value === 'number' ? value : 0), 0);
    },
    [Symbol.asyncDispose]: () => provider.shutdown(),
  };
}

const hasAll = (attributes: Attributes, wanted: Attributes): boolean =>
  Object.entries(wanted).every(([key, value]) => attributes[key] === value);

const picked = (attributes: Attributes, wanted: Attributes): Attributes =>
  Object.fromEntries(Object.keys(wanted).map((key) => [key, attributes[key]]));
