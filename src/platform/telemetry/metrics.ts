import type { Meter } from '@opentelemetry/api';
import { getNumberFromEnv } from '@opentelemetry/core';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import {
  type IMetricReader,
  InstrumentType,
  type MetricData,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
import type { Config } from '../config/schema.ts';
import { metricExporter } from './exporters.ts';
import { createInstruments } from './instruments.ts';

/** Units that Prometheus wants in the name, as collectors also put them there; other units are not shown. */
const SUFFIXES: Readonly<Record<string, string>> = { s: '_seconds', By: '_bytes' };

const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);

/**
 * Metrics in Prometheus' text format. The unit becomes part of the name, so that a dashboard finds the same names
 * whether this text is scraped or a collector passes the metrics on. In the order of the names.
 */
export function prometheusText(collected: ResourceMetrics): string {
  const metrics = collected.scopeMetrics.flatMap((one) => one.metrics.map(withUnitInName));
  metrics.sort((a, b) => (a.descriptor.name < b.descriptor.name ? -1 : 1));
  // The names of scopes are not shown.
  return serializer.serialize({
    resource: collected.resource,
    scopeMetrics: [{ scope: { name: '' }, metrics }],
  });
}

function withUnitInName(metric: MetricData): MetricData {
  const { name, unit } = metric.descriptor;
  const suffix = SUFFIXES[unit] ?? '';
  const plain = name.replace(/[^A-Za-z0-9_]/g, '_');
  const descriptor = {
    ...metric.descriptor,
    name: plain.endsWith(suffix) ? plain : plain + suffix,
    unit: '',
  };
  return { ...metric, descriptor };
}

/** Upper bounds in seconds of the buckets of every duration. */
export const DURATION_BUCKETS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Label sets that one metric may have; what comes later is counted together. Labels hold no ids, so this is never reached. */
const MAX_SERIES = 500;
const EXPORT_TIMEOUT_MS = 2_000;
/** A gauge that asks somebody answers within this, or is left out this time. */
const COLLECT_TIMEOUT_MS = 1_000;

/** What a loaded snapshot may lack, in commits. */
const COMMIT_BUCKETS = [0, 1, 2, 5, 10, 25, 50, 100, 250, 1_000];

/**
 * Gauges and counters that are asked for; the others are our own. Exactly one fits each instrument: its numbers are then
 * kept once, however many readers there are.
 */
export const VIEWS: ViewOptions[] = [InstrumentType.OBSERVABLE_COUNTER, InstrumentType.OBSERVABLE_GAUGE].map(
  (instrumentType) => ({ instrumentType, aggregationCardinalityLimit: MAX_SERIES }),
);

/** What measures for the SDK, and what reads it. */
export interface MetricParts {
  /** In the order in which they are asked. */
  readonly readers: IMetricReader[];
  /** The SDK's meter, with counters and histograms of our own. */
  over(sdk: Meter): Meter;
  /** Everything measured so far in Prometheus' text format. */
  scrape(): Promise<string>;
}

/** Readers are given to the SDK and not made by it from variables: those would not ask for what we count ourselves. */
export async function metricParts(
  scope: string,
  { otlpEndpoint, intervalMs }: Config['metrics'],
): Promise<MetricParts> {
  const own = createInstruments({
    scope,
    maxSeries: MAX_SERIES,
    boundariesOf: (name) => (name === 'jetledger.snapshot.age.commits' ? COMMIT_BUCKETS : DURATION_BUCKETS),
  });
  const metricProducers = [own.producer];
  const prometheus = new PrometheusExporter({ preventServerStart: true, metricProducers });
  const readers: IMetricReader[] = [prometheus];
  if (otlpEndpoint !== '') readers.push(await otlpReader(otlpEndpoint, intervalMs, metricProducers));
  return {
    readers,
    over: own.over,
    scrape: async () => {
      const { resourceMetrics } = await prometheus.collect({ timeoutMillis: COLLECT_TIMEOUT_MS });
      return prometheusText(resourceMetrics);
    },
  };
}

async function otlpReader(
  endpoint: string,
  intervalMs: number,
  metricProducers: MetricProducer[],
): Promise<IMetricReader> {
  const timeoutMs = getNumberFromEnv('OTEL_METRIC_EXPORT_TIMEOUT') ?? EXPORT_TIMEOUT_MS;
  return new PeriodicExportingMetricReader({
    exporter: await metricExporter(endpoint, timeoutMs),
    metricProducers,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: Math.min(timeoutMs, intervalMs),
  });
}
