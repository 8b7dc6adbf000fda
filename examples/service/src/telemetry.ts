import { metrics, trace } from '@opentelemetry/api';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { LedgerOptions } from 'jetledger';
import { combineObservers, meterStore, type StoreObserver, traceStore } from 'jetledger/eventstore';
import { type EngineObserver, meterEngine, traceEngine } from 'jetledger/processes';
import { meterProjections, type ProjectionObserver, traceProjections } from 'jetledger/projections';
import { aggregates, prefix, reactions, views } from './service.ts';

/** Traces and metrics, sent as the standard variables `OTEL_...` say; off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. */
export function startTelemetry(env: Readonly<Record<string, string | undefined>>): {
  readonly observers: LedgerOptions['observers'];
  stop(): Promise<void>;
} {
  if (env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return { observers: {}, stop: async () => undefined };
  const sdk = new NodeSDK({ serviceName: env.OTEL_SERVICE_NAME ?? 'starter' });
  sdk.start();
  const tracer = trace.getTracer('starter');
  const meter = metrics.getMeter('starter');
  const categories = aggregates.map(({ category }) => category);
  const names = views.map(({ name }) => name);
  return {
    observers: {
      store: combineObservers<StoreObserver>(
        traceStore({ tracer, prefix }),
        meterStore(meter, { namespace: prefix, categories }),
      ),
      views: combineObservers<ProjectionObserver>(
        traceProjections({ tracer, prefix }),
        meterProjections(meter, { namespace: prefix, views: names }),
      ),
      reactions: combineObservers<EngineObserver>(
        traceEngine({ tracer, prefix, now: Date.now }),
        meterEngine(meter, { namespace: prefix, consumers: reactions.map(({ name }) => name), timers: [] }),
      ),
    },
    stop: () => sdk.shutdown().catch(() => undefined),
  };
}
