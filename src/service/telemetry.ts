import type { Meter } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { Config } from '../platform/config/schema.ts';
import type { Telemetry } from '../platform/telemetry/start.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import { toolVersion } from './version.ts';

/**
 * Starts what is configured of metrics, traces and lines to a collector; undefined when nothing is. The SDK is loaded
 * only when it is needed: it takes as long as a good part of the start.
 */
export async function openTelemetry(config: Config, logger: () => Logger): Promise<Telemetry | undefined> {
  const { tracing, metrics, logging } = config;
  const wanted =
    tracing.enabled ||
    tracing.devTraces > 0 ||
    metrics.enabled ||
    metrics.otlpEndpoint !== '' ||
    logging.otlpEndpoint !== '';
  if (!wanted) return undefined;
  const { startTelemetry } = await import('../platform/telemetry/start.ts');
  const onCollector = (state: 'away' | 'back', err?: unknown): void => {
    if (state === 'away') logger().warn({ err }, 'the collector takes no spans; they are dropped');
    else logger().info('the collector takes spans again');
  };
  const onWarning = (message: string): void => logger().warn(`telemetry: ${message}`);
  return startTelemetry(config, { version: toolVersion(), onCollector, onWarning });
}

/** For a command: shows in the collector, where there is one; what is kept in memory would be gone with this process. */
export function openCommandTelemetry(config: Config, logger: () => Logger): Promise<Telemetry | undefined> {
  const { tracing, metrics, logging } = config;
  const only = {
    tracing: { ...tracing, devTraces: 0 },
    metrics: { ...metrics, enabled: false, otlpEndpoint: '' },
    logging: { ...logging, otlpEndpoint: '' },
  };
  return openTelemetry({ ...config, ...only }, logger);
}

/** Counts the spans that were lost. */
export function meterTracing(meter: Meter, tracing: Tracing): void {
  const dropped = meter.createObservableCounter('jetledger.traces.dropped', {
    description: 'Spans that could not be exported',
  });
  dropped.addCallback((result) => result.observe(tracing.dropped()));
}
