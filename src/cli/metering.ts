import { jetstreamManager } from '@nats-io/jetstream';
import type { Meter } from '@opentelemetry/api';
import type { Log } from '../eventstore/log.ts';
import type { StoreObserver } from '../eventstore/observer.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import { meterStore } from '../eventstore/telemetry/metered-store.ts';
import type { Config } from '../platform/config/schema.ts';
import type { NatsMonitor } from '../platform/nats-monitor.ts';
import { meterConnection, meterNatsServers } from '../platform/telemetry/metrics-nats.ts';
import { meterProcess } from '../platform/telemetry/metrics-process.ts';
import type { Metrics } from '../platform/telemetry/metrics-provider.ts';
import { countOverdueTimers } from '../processes/engine/adapters/timers-overdue.ts';
import { timersStream } from '../processes/engine/adapters/timers-stream.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import type { ReadSide } from '../projections/read-side.ts';
import { buildAdmin } from './consumers-admin.ts';
import type { Nats } from './open.ts';
import { meterConsumers, meterOverdueTimers, meterViews } from './standing-gauges.ts';

/** The metrics of this process. */
export interface Metering {
  readonly meter: Meter;
  /** What the event store tells. */
  readonly store: StoreObserver;
  /** For GET /metrics; absent where that is off. */
  readonly scrape: Metrics['scrape'] | undefined;
  /** Sends what waits and stops. Never rejects. */
  stop(): Promise<void>;
}

const CATEGORIES = ['user', 'email', 'product', 'order'];

/** Starts measuring as configured; undefined when nobody wants to know. */
export async function openMetering(config: Config, version: string): Promise<Metering | undefined> {
  const { enabled, otlpEndpoint, intervalMs } = config.metrics;
  if (!enabled && otlpEndpoint === '') return undefined;
  const service = { name: config.service.name, version };
  // Loaded only where somebody wants to know.
  const { startMetrics } = await import('../platform/telemetry/metrics-provider.ts');
  const metrics = await startMetrics({ service, otlpEndpoint, intervalMs });
  const loop = meterProcess(metrics.meter);
  return {
    meter: metrics.meter,
    store: meterStore(metrics.meter, CATEGORIES),
    scrape: enabled ? metrics.scrape : undefined,
    stop: async () => {
      loop.stop();
      await metrics.stop();
    },
  };
}

/** Everything that is looked up when somebody asks: how log, views, consumers, timers and NATS stand. */
export function startGauges(
  { meter }: Metering,
  parts: {
    readonly config: Config;
    readonly nats: Nats;
    readonly log: Log;
    readonly readSide: ReadSide;
    readonly monitor: NatsMonitor;
    /** Of the consumers of this process. */
    readonly consumers: () => readonly ConsumerStatus[];
  },
): void {
  const { config, nats, log, readSide, monitor, consumers } = parts;
  const { requests } = nats;
  const { prefix } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  meterConnection(meter, nats.connection, requests.connected);
  meterNatsServers(meter, monitor);
  meterViews(meter, { log, readModels: readSide, now: systemRuntime.now });
  meterConsumers(meter, { standings: buildAdmin(config, nats, log).consumers.status, local: consumers });
  meterOverdueTimers(meter, async () => {
    // Where no process has ever run there is no stream, and no timer that could be late.
    const jsm = await jetstreamManager(nats.connection, { checkAPI: false, timeout: timeoutMs });
    const exists = await jsm.streams.info(timersStream(prefix)).then(
      () => true,
      () => false,
    );
    return exists ? countOverdueTimers({ requests, prefix, timeoutMs, now: systemRuntime.now() }) : 0;
  });
}
