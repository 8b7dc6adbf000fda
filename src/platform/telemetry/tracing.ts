import type { Context, Tracer } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { ExportResultCode, getNumberFromEnv, isTracingSuppressed } from '@opentelemetry/core';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config/schema.ts';
import type { KeptTraces } from './kept-traces.ts';

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
  readonly onCollector?: ((state: 'away' | 'back', error?: unknown) => void) | undefined;
  /** Spans that may wait, those under way included. */
  readonly maxWaiting?: number;
}

/** Some ten MB at the most, which is what a collector that is away may cost. */
const MAX_WAITING = 8_192;
const BATCH = 512;
const EVERY_MS = 1_000;

/** A bounded queue in front of an exporter: what it cannot take is dropped and counted, and nobody waits for it. */
export function createSpanExport(options: SpanExportOptions): SpanExport {
  const { exporter, timeoutMs, onCollector } = options;
  const maxWaiting = options.maxWaiting ?? getNumberFromEnv('OTEL_BSP_MAX_QUEUE_SIZE') ?? MAX_WAITING;
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
    maxExportBatchSize: Math.min(getNumberFromEnv('OTEL_BSP_MAX_EXPORT_BATCH_SIZE') ?? BATCH, maxWaiting),
    scheduledDelayMillis: getNumberFromEnv('OTEL_BSP_SCHEDULE_DELAY') ?? EVERY_MS,
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
  readonly tracer: Tracer;
  /** The last traces, where they are kept. */
  readonly kept: KeptTraces | undefined;
  /** Spans that could not be exported so far. */
  dropped(): number;
  /** Exports what waits. Never rejects. */
  flush(): Promise<void>;
}

/** A share of the traces; and so that a trace is whole or absent, the decision of whoever began it holds. */
export function samplerOf({ sampleRatio, followCaller }: Config['tracing']): Sampler {
  const share = new TraceIdRatioBasedSampler(sampleRatio);
  return followCaller ? new ParentBasedSampler({ root: share }) : share;
}

/**
 * Leaves alone what runs with tracing suppressed, which is what the SDK does around each export. Nothing here makes
 * spans by itself, so there is nothing to suppress; and on Node 20 the first asynchronous context of a process makes
 * every promise after it dearer, also in one that only answers requests and needs none.
 */
export class LazyContextManager extends AsyncLocalStorageContextManager {
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
