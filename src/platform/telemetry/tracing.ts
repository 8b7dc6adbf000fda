import { type Context, context, propagation, type Tracer, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { ExportResultCode, isTracingSuppressed, W3CTraceContextPropagator } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config/schema.ts';
import { createDevTraces, type DevTraces } from './dev-traces.ts';
import { createOtlpExporter } from './tracing-otlp.ts';

/** The name under which every span is made. */
const INSTRUMENTATION = 'jetledger';

/** Sends spans out in the background, and counts those that got lost. */
export interface SpanExport {
  readonly processor: SpanProcessor;
  /** Spans that were lost: no room in the queue, or the collector did not take them. */
  dropped(): number;
}

export interface SpanExportOptions {
  readonly exporter: SpanExporter;
  /** How long one export may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Told when the collector begins to fail, and when it works again. */
  readonly onCollector?: (state: 'away' | 'back', error?: unknown) => void;
  /** Spans that may wait, those under way included. */
  readonly maxWaiting?: number;
}

/** Some ten MB at the most, which is what a collector that is away may cost. */
const MAX_WAITING = 8_192;
const BATCH = 512;
const EVERY_MS = 1_000;

/** A bounded queue in front of an exporter: what it cannot take is dropped and counted, and nobody waits for it. */
export function createSpanExport(options: SpanExportOptions): SpanExport {
  const { exporter, timeoutMs, onCollector, maxWaiting = MAX_WAITING } = options;
  let waiting = 0;
  let dropped = 0;
  let away = false;

  const settled = (spans: readonly ReadableSpan[], failed: boolean, error: unknown): void => {
    waiting -= spans.length;
    if (failed) dropped += spans.length;
    if (failed !== away) onCollector?.(failed ? 'away' : 'back', error);
    away = failed;
  };
  const counting: SpanExporter = {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        settled(spans, result.code !== ExportResultCode.SUCCESS, result.error);
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
  const batches = new BatchSpanProcessor(counting, {
    maxQueueSize: maxWaiting,
    maxExportBatchSize: Math.min(BATCH, maxWaiting),
    scheduledDelayMillis: EVERY_MS,
    exportTimeoutMillis: timeoutMs,
  });
  return {
    dropped: () => dropped,
    processor: {
      onStart: () => undefined,
      onEnd: (span) => {
        if (waiting >= maxWaiting) {
          dropped++;
          return;
        }
        waiting++;
        batches.onEnd(span);
      },
      forceFlush: () => batches.forceFlush(),
      shutdown: () => batches.shutdown(),
    },
  };
}

/** Tracing as it was started. */
export interface Tracing {
  /** Undefined when tracing is off: then nothing is registered, and what would make spans is left out. */
  readonly tracer: Tracer | undefined;
  /** The last traces, where they are kept. */
  readonly devTraces: DevTraces | undefined;
  /** Spans that could not be exported so far. */
  dropped(): number;
  /** Exports what waits. Never rejects. */
  flush(): Promise<void>;
  /** Exports what waits; gives up after `withinMs` and never rejects. Nothing is traced any more afterwards. */
  stop(withinMs: number): Promise<void>;
}

/** What tracing needs to know beyond the configuration. */
export interface TracingExtras {
  /** Of the service. */
  readonly version: string;
  /** Told once when spans begin to get lost because the collector does not take them, and when it takes them again. */
  readonly onCollector?: (state: 'away' | 'back', error?: unknown) => void;
  /** Instead of a collector; for tests. */
  readonly exporter?: SpanExporter;
}

const OFF: Tracing = {
  tracer: undefined,
  devTraces: undefined,
  dropped: () => 0,
  flush: async () => undefined,
  stop: async () => undefined,
};

/**
 * Leaves alone what runs with tracing suppressed, which is what the SDK does around each export. Nothing here makes
 * spans by itself, so there is nothing to suppress; and on Node 20 the first asynchronous context of a process makes
 * every promise after it dearer, also in one that only answers requests and needs none.
 */
class LazyContextManager extends AsyncLocalStorageContextManager {
  override with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    run: F,
    thisArg?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return isTracingSuppressed(active)
      ? run.call(thisArg, ...args)
      : super.with(active, run, thisArg, ...args);
  }
}

/** Registered for the whole process, so there is one. */
let current: Tracing | undefined;

/**
 * Starts tracing for this process as configured: to a collector, into memory, or both. Off, nothing is registered
 * and the API's own stand-ins cost nothing.
 * @throws Error when it is on already
 */
export function startTracing(config: Config, extras: TracingExtras): Tracing {
  const { tracing } = config;
  const exporter = exporterOf(config, extras);
  const devTraces = tracing.devTraces > 0 ? createDevTraces({ traces: tracing.devTraces }) : undefined;
  const spanExport =
    exporter && createSpanExport({ exporter, timeoutMs: tracing.exportTimeoutMs, ...onCollectorOf(extras) });
  const processors = [spanExport?.processor, devTraces?.processor].filter((each) => each !== undefined);
  if (processors.length === 0) return OFF;
  if (current !== undefined) throw new Error('Tracing is on already in this process.');
  const provider = register(config, extras.version, processors);
  current = tracingOf(provider, devTraces, spanExport);
  return current;
}

function exporterOf({ tracing }: Config, { exporter }: TracingExtras): SpanExporter | undefined {
  if (exporter !== undefined) return exporter;
  return tracing.enabled ? createOtlpExporter(tracing.endpoint, tracing.exportTimeoutMs) : undefined;
}

function onCollectorOf({ onCollector }: TracingExtras) {
  return onCollector === undefined ? {} : { onCollector };
}

function register(config: Config, version: string, spanProcessors: SpanProcessor[]): BasicTracerProvider {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': config.service.name,
      'service.version': version,
      'service.instance.id': `${process.pid}`,
      'deployment.environment.name': config.environment,
    }),
    // The decision of whoever began the trace holds; so a trace is whole or absent.
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(config.tracing.sampleRatio) }),
    spanProcessors,
  });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new LazyContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return provider;
}

function tracingOf(
  provider: BasicTracerProvider,
  devTraces: DevTraces | undefined,
  spanExport: SpanExport | undefined,
): Tracing {
  return {
    tracer: provider.getTracer(INSTRUMENTATION),
    devTraces,
    dropped: () => spanExport?.dropped() ?? 0,
    flush: () => provider.forceFlush().catch(() => undefined),
    stop: async (withinMs) => {
      if (current?.devTraces === devTraces) {
        current = undefined;
        trace.disable();
        context.disable();
        propagation.disable();
      }
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, withinMs);
      });
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}
