import { ExportResultCode } from '@opentelemetry/core';
import {
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base';

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
