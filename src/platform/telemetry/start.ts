import { context, DiagLogLevel, diag, type Meter, metrics, propagation, trace } from '@opentelemetry/api';
import { logs } from '@opentelemetry/api-logs';
import { getStringFromEnv, W3CTraceContextPropagator } from '@opentelemetry/core';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { NodeSDK, type NodeSDKConfiguration } from '@opentelemetry/sdk-node';
import type { SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config/schema.ts';
import { INSTANCE_ID } from '../instance.ts';
import { takeLines } from '../logger.ts';
import { spanExporter } from './exporters.ts';
import { createKeptTraces } from './kept-traces.ts';
import { emitLine, logProcessor } from './logs.ts';
import { type MetricParts, metricParts, VIEWS } from './metrics.ts';
import { createSpanExport, LazyContextManager, samplerOf, type Tracing } from './tracing.ts';

/** The name under which everything is measured, traced and logged. */
const SCOPE = 'jetledger';

/** Telemetry as it was started; what nobody switched on is undefined. */
export interface Telemetry {
  readonly metrics: Metrics | undefined;
  readonly tracing: Tracing | undefined;
  /** Sends what waits; gives up after `withinMs` and never rejects. Nothing is told any more afterwards. */
  stop(withinMs: number): Promise<void>;
}

/** Where the numbers of this process go. */
export interface Metrics {
  /** Makes instruments; what they measure is exported. */
  readonly meter: Meter;
  /** Everything measured so far in Prometheus' text format. */
  scrape(): Promise<string>;
}

/** What telemetry needs to know beyond the configuration. */
export interface TelemetryExtras {
  /** Of the service. */
  readonly version: string;
  /** Told once when spans begin to get lost because the collector does not take them, and when it takes them again. */
  readonly onCollector?: ((state: 'away' | 'back', error?: unknown) => void) | undefined;
  /** Told what the SDK cannot make of a variable. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Instead of a collector; for tests. */
  readonly exporter?: SpanExporter | undefined;
}

/** Traces are registered for the whole process, so there is one at a time. */
let isTracing = false;

/**
 * Starts what is configured of metrics, traces and lines to a collector, with OpenTelemetry's SDK for Node. The SDK
 * reads resource and propagators from the standard variables; exporters, readers and sampler are given to it, made from
 * settings that the same variables stand behind (`config/standard-variables.ts`).
 * @throws Error when traces are on already
 */
export async function startTelemetry(config: Config, extras: TelemetryExtras): Promise<Telemetry> {
  const traces = await traceParts(config, extras);
  const measured =
    config.metrics.enabled || config.metrics.otlpEndpoint !== ''
      ? await metricParts(SCOPE, config.metrics)
      : undefined;
  const lines = config.logging.otlpEndpoint === '' ? [] : [await logProcessor(config.logging.otlpEndpoint)];
  if (traces !== undefined && isTracing) throw new Error('Tracing is on already in this process.');
  isTracing ||= traces !== undefined;
  const sdk = withWarnings(extras.onWarning, () => {
    const made = new NodeSDK({
      ...sharedParts(config, extras.version),
      ...(traces === undefined
        ? NO_TRACES
        : { spanProcessors: traces.processors, sampler: samplerOf(config.tracing) }),
      ...contextManager(traces !== undefined),
      metricReaders: measured?.readers ?? [],
      views: VIEWS,
      logRecordProcessors: lines,
    });
    // What another one left there, in tests, would go on being given out.
    metrics.disable();
    logs.disable();
    made.start();
    return made;
  });
  const releaseLines = lines.length === 0 ? undefined : takeLines((line) => emitLine(SCOPE, line));
  return {
    metrics: measured && metricsOf(measured),
    tracing: traces?.started(),
    stop: async (withinMs) => {
      releaseLines?.();
      if (traces !== undefined) endTracing();
      await within(withinMs, sdk.shutdown());
    },
  };
}

/** Without traces nothing is registered for them, and the API's own stand-ins cost nothing. */
const NO_TRACES = { spanProcessors: [], textMapPropagator: null };

/** None is `null`, which its type does not know. */
function contextManager(isTraced: boolean): Partial<NodeSDKConfiguration> {
  const given: { readonly contextManager: unknown } = {
    contextManager: isTraced ? new LazyContextManager() : null,
  };
  return given as Partial<NodeSDKConfiguration>;
}

function sharedParts(config: Config, version: string): Partial<NodeSDKConfiguration> {
  return {
    serviceName: config.service.name,
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.version': version,
        'service.instance.id': INSTANCE_ID,
        'deployment.environment.name': config.environment,
      }),
    ),
    // Baggage is not carried on through the log, so it is taken from nobody unless a variable asks for it.
    ...(getStringFromEnv('OTEL_PROPAGATORS') === undefined && {
      textMapPropagator: new W3CTraceContextPropagator(),
    }),
  };
}

async function traceParts(config: Config, { exporter: given, onCollector }: TelemetryExtras) {
  const { enabled, endpoint, exportTimeoutMs, devTraces } = config.tracing;
  const exporter = given ?? (enabled ? await spanExporter(endpoint, exportTimeoutMs) : undefined);
  const kept = devTraces > 0 ? createKeptTraces({ traces: devTraces }) : undefined;
  const spanExport = exporter && createSpanExport({ exporter, timeoutMs: exportTimeoutMs, onCollector });
  const processors = [spanExport?.processor, kept?.processor].filter((each) => each !== undefined);
  if (processors.length === 0) return undefined;
  return {
    processors,
    started: (): Tracing => ({
      tracer: trace.getTracer(SCOPE),
      kept,
      dropped: () => spanExport?.dropped() ?? 0,
      flush: async () => spanExport?.processor.forceFlush().catch(() => undefined),
    }),
  };
}

function endTracing(): void {
  isTracing = false;
  trace.disable();
  context.disable();
  propagation.disable();
}

function metricsOf({ over, scrape }: MetricParts): Metrics {
  return { meter: over(metrics.getMeter(SCOPE)), scrape };
}

/** What the SDK complains of while it starts; later it would repeat each export that failed. */
function withWarnings<T>(tell: TelemetryExtras['onWarning'], run: () => T): T {
  if (tell === undefined || getStringFromEnv('OTEL_LOG_LEVEL') !== undefined) return run();
  const none = (): void => undefined;
  diag.setLogger(
    { warn: tell, error: tell, info: none, debug: none, verbose: none },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  try {
    return run();
  } finally {
    diag.disable();
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => undefined), late]);
  clearTimeout(timer);
}
