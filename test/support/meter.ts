import type { Meter } from '@opentelemetry/api';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Metrics, startTelemetry } from '../../src/platform/telemetry/start.ts';
import { parseScrape, sumOf } from './prometheus-text.ts';

/** Metrics of a test's own, read as they are scraped. */
export interface TestMeter extends AsyncDisposable {
  readonly meter: Meter;
  readonly metrics: Metrics;
  sum(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

/** @param variables of the configuration */
export async function testMeter(variables: Readonly<Record<string, string>> = {}): Promise<TestMeter> {
  const config = loadConfig({ env: { JETLEDGER_ENV: 'test', ...variables }, dir: configDir({}) });
  const { metrics, stop } = await startTelemetry(config, { version: '1.2.3' });
  if (metrics === undefined) throw new Error('metrics are off');
  return {
    meter: metrics.meter,
    metrics,
    sum: async (name, labels) => sumOf(parseScrape(await metrics.scrape()), name, labels),
    [Symbol.asyncDispose]: () => stop(2_000),
  };
}
