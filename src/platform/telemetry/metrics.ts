import type { Meter } from '@opentelemetry/api';
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  type IMetricReader,
  InstrumentType,
  MeterProvider,
  type MetricData,
  type MetricProducer,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
  type ViewOptions,
} from '@opentelemetry/sdk-metrics';
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

/** Where the numbers of this process go. */
export interface Metrics {
  /** Makes instruments; what they measure is exported. */
  readonly meter: Meter;
  /** Everything measured so far in Prometheus' text format. */
  scrape(): Promise<string>;
  /** Sends what waits and stops; at most `EXPORT_TIMEOUT_MS`. Never rejects. */
  stop(): Promise<void>;
}

export interface MetricsOptions {
  readonly service: { readonly name: string; readonly version: string };
  /** Address of a collector that takes OTLP over HTTP, such as `http://localhost:4318`; empty = none. */
  readonly otlpEndpoint: string;
  /** How often the collector is told, in milliseconds. */
  readonly intervalMs: number;
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

const SCOPE = 'jetledger';

/**
 * Gauges and counters that are asked for; the others are our own. Exactly one fits each instrument: its numbers are then
 * kept once, however many readers there are.
 */
const VIEWS: ViewOptions[] = [InstrumentType.OBSERVABLE_COUNTER, InstrumentType.OBSERVABLE_GAUGE].map(
  (instrumentType) => ({ instrumentType, aggregationCardinalityLimit: MAX_SERIES }),
);

/** Starts measuring, and tells a collector where one is configured. */
export async function startMetrics({ service, otlpEndpoint, intervalMs }: MetricsOptions): Promise<Metrics> {
  const own = createInstruments({
    scope: SCOPE,
    maxSeries: MAX_SERIES,
    boundariesOf: (name) => (name === 'jetledger.snapshot.age.commits' ? COMMIT_BUCKETS : DURATION_BUCKETS),
  });
  const metricProducers = [own.producer];
  const prometheus = new PrometheusExporter({ preventServerStart: true, metricProducers });
  const readers: IMetricReader[] = [prometheus];
  if (otlpEndpoint !== '') readers.push(await otlpReader(otlpEndpoint, intervalMs, metricProducers));
  const provider = new MeterProvider({
    resource: resourceFromAttributes({
      'service.name': service.name,
      'service.version': service.version,
      'process.pid': process.pid,
    }),
    readers,
    views: VIEWS,
  });
  return {
    meter: own.over(provider.getMeter(SCOPE)),
    scrape: async () => {
      const { resourceMetrics } = await prometheus.collect({ timeoutMillis: COLLECT_TIMEOUT_MS });
      return prometheusText(resourceMetrics);
    },
    stop: async () => {
      // A collector that is away costs its own data and this much time.
      await provider.shutdown({ timeoutMillis: EXPORT_TIMEOUT_MS }).catch(() => undefined);
    },
  };
}

async function otlpReader(
  endpoint: string,
  intervalMs: number,
  metricProducers: MetricProducer[],
): Promise<IMetricReader> {
  // Takes long to load, and most services are scraped.
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({
      url: `${endpoint.replace(/\/+$/, '')}/v1/metrics`,
      timeoutMillis: EXPORT_TIMEOUT_MS,
    }),
    metricProducers,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: Math.min(EXPORT_TIMEOUT_MS, intervalMs),
  });
}
