import { context, isSpanContextValid, TraceFlags, trace } from '@opentelemetry/api';
import { type AnyValue, logs, SeverityNumber } from '@opentelemetry/api-logs';
import { getNumberFromEnv } from '@opentelemetry/core';
import { BatchLogRecordProcessor, type LogRecordProcessor } from '@opentelemetry/sdk-logs';
import { logExporter } from './exporters.ts';

const EXPORT_TIMEOUT_MS = 2_000;
const EVERY_MS = 1_000;

/** Sends lines in the background; what its bounded queue cannot hold is dropped. */
export async function logProcessor(endpoint: string): Promise<LogRecordProcessor> {
  const timeout = getNumberFromEnv('OTEL_BLRP_EXPORT_TIMEOUT') ?? EXPORT_TIMEOUT_MS;
  const queue = getNumberFromEnv('OTEL_BLRP_MAX_QUEUE_SIZE');
  const batch = getNumberFromEnv('OTEL_BLRP_MAX_EXPORT_BATCH_SIZE');
  return new BatchLogRecordProcessor({
    exporter: await logExporter(endpoint, timeout),
    exportTimeoutMillis: timeout,
    scheduledDelayMillis: getNumberFromEnv('OTEL_BLRP_SCHEDULE_DELAY') ?? EVERY_MS,
    ...(queue !== undefined && { maxQueueSize: queue }),
    ...(batch !== undefined && { maxExportBatchSize: batch }),
  });
}

/** pino's levels by OpenTelemetry's. */
const SEVERITIES: ReadonlyMap<number, { readonly number: SeverityNumber; readonly text: string }> = new Map([
  [10, { number: SeverityNumber.TRACE, text: 'TRACE' }],
  [20, { number: SeverityNumber.DEBUG, text: 'DEBUG' }],
  [30, { number: SeverityNumber.INFO, text: 'INFO' }],
  [40, { number: SeverityNumber.WARN, text: 'WARN' }],
  [50, { number: SeverityNumber.ERROR, text: 'ERROR' }],
  [60, { number: SeverityNumber.FATAL, text: 'FATAL' }],
]);

/**
 * Hands a line of the log, as it is written to standard output, to the SDK. From the line and not from what was logged:
 * so what is masked there is masked here.
 */
export function emitLine(scope: string, line: string): void {
  const { level, time, msg, trace_id, span_id, ...rest } = JSON.parse(line) as Record<string, AnyValue>;
  // The resource says these already.
  const { service: _service, pid: _pid, instance: _instance, err, ...fields } = rest;
  const severity = SEVERITIES.get(Number(level));
  const spanContext = { traceId: String(trace_id), spanId: String(span_id), traceFlags: TraceFlags.NONE };
  const isTraced = isSpanContextValid(spanContext);
  logs.getLogger(scope).emit({
    timestamp: new Date(String(time)),
    ...(severity !== undefined && { severityNumber: severity.number, severityText: severity.text }),
    body: msg,
    attributes: {
      ...fields,
      ...exceptionOf(err),
      ...(trace_id !== undefined && !isTraced && { trace_id }),
    },
    context: isTraced ? trace.setSpanContext(context.active(), spanContext) : context.active(),
  });
}

/** By the names of the semantic conventions. */
function exceptionOf(err: AnyValue): Record<string, AnyValue> {
  if (typeof err !== 'object' || err === null) return err === undefined ? {} : { err };
  const { type, message, stack, ...more } = err as Record<string, AnyValue>;
  return {
    ...(Object.keys(more).length > 0 && { err: more }),
    'exception.type': type,
    'exception.message': message,
    'exception.stacktrace': stack,
  };
}
