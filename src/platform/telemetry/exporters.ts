import type { LogRecordExporter } from '@opentelemetry/sdk-logs';
import type { PushMetricExporter } from '@opentelemetry/sdk-metrics';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';
import { readEnvironment } from '../config/environment.ts';
import { otlpUrl, type Protocol, protocolOf, type Signal } from '../config/standard-variables.ts';

/** Where to, and how long one export may take; headers, certificates and compression are read from the variables. */
interface Target {
  readonly url: string;
  readonly timeoutMillis: number;
}

type Make<Exporter> = Readonly<Record<Protocol, () => Promise<(target: Target) => Exporter>>>;

const TRACES: Make<SpanExporter> = {
  'http/protobuf': async () => {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-proto');
    return (target) => new OTLPTraceExporter(target);
  },
  'http/json': async () => {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http');
    return (target) => new OTLPTraceExporter(target);
  },
  grpc: async () => {
    const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-grpc');
    return (target) => new OTLPTraceExporter(target);
  },
};

const METRICS: Make<PushMetricExporter> = {
  'http/protobuf': async () => {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
    return (target) => new OTLPMetricExporter(target);
  },
  'http/json': async () => {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
    return (target) => new OTLPMetricExporter(target);
  },
  grpc: async () => {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-grpc');
    return (target) => new OTLPMetricExporter(target);
  },
};

const LOGS: Make<LogRecordExporter> = {
  'http/protobuf': async () => {
    const { OTLPLogExporter } = await import('@opentelemetry/exporter-logs-otlp-proto');
    return (target) => new OTLPLogExporter(target);
  },
  'http/json': async () => {
    const { OTLPLogExporter } = await import('@opentelemetry/exporter-logs-otlp-http');
    return (target) => new OTLPLogExporter(target);
  },
  grpc: async () => {
    const { OTLPLogExporter } = await import('@opentelemetry/exporter-logs-otlp-grpc');
    return (target) => new OTLPLogExporter(target);
  },
};

async function make<Exporter>(
  of: Make<Exporter>,
  signal: Signal,
  endpoint: string,
  timeoutMillis: number,
): Promise<Exporter> {
  const env = readEnvironment();
  const exporterTo = await of[protocolOf(signal, env)]();
  return exporterTo({ url: otlpUrl(endpoint, signal, env), timeoutMillis });
}

/** Sends spans to a collector. @param endpoint as `tracing.endpoint` has it */
export const spanExporter = (endpoint: string, timeoutMs: number): Promise<SpanExporter> =>
  make(TRACES, 'traces', endpoint, timeoutMs);

/** Sends metrics to a collector. @param endpoint as `metrics.otlpEndpoint` has it */
export const metricExporter = (endpoint: string, timeoutMs: number): Promise<PushMetricExporter> =>
  make(METRICS, 'metrics', endpoint, timeoutMs);

/** Sends lines of the log to a collector. @param endpoint as `logging.otlpEndpoint` has it */
export const logExporter = (endpoint: string, timeoutMs: number): Promise<LogRecordExporter> =>
  make(LOGS, 'logs', endpoint, timeoutMs);
