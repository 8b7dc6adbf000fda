import type { Config } from '../../src/platform/config/schema.ts';
import { startTelemetry, type TelemetryExtras } from '../../src/platform/telemetry/start.ts';
import type { Tracing } from '../../src/platform/telemetry/tracing.ts';

/** Traces of a test's own, without metrics; undefined when they are off. */
export type TestTracing = Tracing & { stop(withinMs: number): Promise<void> };

export async function startTracing(
  config: Config,
  extras: Omit<TelemetryExtras, 'version'>,
): Promise<TestTracing | undefined> {
  const metrics = { ...config.metrics, enabled: false, otlpEndpoint: '' };
  const { tracing, stop } = await startTelemetry({ ...config, metrics }, { version: 'test', ...extras });
  return tracing && { ...tracing, stop };
}

/** @throws Error when they are off */
export async function startedTracing(...given: Parameters<typeof startTracing>): Promise<TestTracing> {
  const tracing = await startTracing(...given);
  if (tracing === undefined) throw new Error('tracing is off');
  return tracing;
}
