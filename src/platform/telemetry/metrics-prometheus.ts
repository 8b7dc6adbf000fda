import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { MetricData, ResourceMetrics } from '@opentelemetry/sdk-metrics';

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
