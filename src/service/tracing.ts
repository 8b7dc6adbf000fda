import type { Meter } from '@opentelemetry/api';
import type { Logger } from 'pino';
import type { Config } from '../platform/config/schema.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import { toolVersion } from './version.ts';

/**
 * Starts tracing as configured; undefined when it is off. The SDK is loaded only when it is needed: it takes as long
 * as a good part of the start.
 */
export async function openTracing(
  config: Config,
  version: string,
  logger: () => Logger,
): Promise<Tracing | undefined> {
  const { enabled, devTraces } = config.tracing;
  if (!enabled && devTraces === 0) return undefined;
  const { startTracing } = await import('../platform/telemetry/tracing.ts');
  const onCollector = (state: 'away' | 'back', err?: unknown): void => {
    if (state === 'away') logger().warn({ err }, 'the collector takes no spans; they are dropped');
    else logger().info('the collector takes spans again');
  };
  return startTracing(config, { version, onCollector });
}

/** For a command: shows in the collector, where there is one; what is kept in memory would be gone with this process. */
export function openCommandTracing(config: Config, logger: () => Logger): Promise<Tracing | undefined> {
  return openTracing({ ...config, tracing: { ...config.tracing, devTraces: 0 } }, toolVersion(), logger);
}

/** Counts the spans that were lost. */
export function meterTracing(meter: Meter, tracing: Tracing): void {
  const dropped = meter.createObservableCounter('jetledger.traces.dropped', {
    description: 'Spans that could not be exported',
  });
  dropped.addCallback((result) => result.observe(tracing.dropped()));
}
