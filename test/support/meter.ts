import type { Meter } from '@opentelemetry/api';
import { type Metrics, startMetrics } from '../../src/platform/telemetry/metrics.ts';
import { parseScrape, sumOf } from './prometheus-text.ts';

/** Metrics of a test's own, read as they are scraped. */
export interface TestMeter extends AsyncDisposable {
  readonly meter: Meter;
  readonly metrics: Metrics;
  sum(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

export async function testMeter(): Promise<TestMeter> {
  const service = { name: 'test', version: '0' };
  const metrics = await startMetrics({ service, otlpEndpoint: '', intervalMs: 60_000 });
  return {
    meter: metrics.meter,
    metrics,
    sum: async (name, labels) => sumOf(parseScrape(await metrics.scrape()), name, labels),
    [Symbol.asyncDispose]: metrics.stop,
  };
}
