import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';

/** Sends spans to a collector as OTLP over HTTP. @param endpoint its address without a path, for example `http://localhost:4318` */
export function createOtlpExporter(endpoint: string, timeoutMillis: number): SpanExporter {
  return new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis });
}
