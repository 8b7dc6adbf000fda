import type { Meter } from '@opentelemetry/api';
import type { ConsumerReport } from '../api/deps.ts';
import {
  ahead,
  type Log,
  meterStore,
  numberOf,
  type StoreObserver,
  systemRuntime,
  timeOf,
} from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import type { NatsMonitor } from '../platform/nats-monitor.ts';
import {
  cachedReading,
  meterConnection,
  meterNatsServers,
  meterProcess,
} from '../platform/telemetry/gauges.ts';
import type { Metrics } from '../platform/telemetry/start.ts';
import { type ConsumerStatus, countOverdueTimers } from '../processes/engine/index.ts';
import { NOTIFICATIONS } from '../processes/notification/adapters/receiver.ts';
import { readForeign, type ViewReader, type ViewStatus } from '../projections/engine/index.ts';
import { buildAdmin } from './consumers-admin.ts';
import type { Nats } from './open.ts';
import { categories } from './shop.ts';
import { bucketsOf } from './with-nats.ts';

interface MeteredView extends ViewStatus {
  readonly lagSeconds: number;
}

/**
 * How the views stand, and where the log ends. Read from the log and the checkpoints, so every instance shows the same,
 * whether views run in it or not; but dead letters are known only where the view runs.
 */
export function meterViews(
  meter: Meter,
  {
    log,
    views,
    now,
  }: {
    readonly log: Log;
    readonly views: Pick<ViewReader, 'status'>;
    readonly now: () => number;
  },
): void {
  const gauge = (name: string, description: string, unit = '') =>
    meter.createObservableGauge(`jetledger.${name}`, { description, unit });
  const head = gauge('log.position', "The log's end");
  const position = gauge('view.position', 'Up to where a view is stored');
  const lag = gauge('view.lag.events', 'Commits of the log that a view has not stored yet');
  const seconds = gauge('view.lag.seconds', 'Age of the oldest of them', 's');
  const running = gauge('view.running', '1 while a view is at work, else 0');
  const parked = gauge('view.parked_rows', 'Rows that are dead letters');
  const reading = cachedReading(async () => {
    const statuses = await views.status();
    return Promise.all(
      statuses.map(async (status) => ({ ...status, lagSeconds: await ageOf(log, status, now) })),
    );
  });
  meter.addBatchObservableCallback(
    async (result) => {
      const views: readonly MeteredView[] = (await reading.get()) ?? [];
      const [first] = views;
      if (first !== undefined) result.observe(head, numberOf(ahead(first.position, first.lag)));
      for (const { view, ...status } of views) {
        result.observe(position, numberOf(status.position), { view });
        result.observe(lag, status.lag, { view });
        result.observe(seconds, status.lagSeconds, { view });
        result.observe(running, status.running ? 1 : 0, { view });
        result.observe(parked, status.deadLetters?.length ?? 0, { view });
      }
    },
    [head, position, lag, seconds, running, parked],
  );
}

async function ageOf(log: Log, { position, lag }: ViewStatus, now: () => number): Promise<number> {
  const next = lag === 0 ? undefined : await log.next(ahead(position, 1));
  return next === undefined ? 0 : Math.max(0, (now() - timeOf(next)) / 1_000);
}

/** A number that is expensive to count, read at most every `maxAgeMs`; none is shown while it cannot be counted. */
function meterCount(
  meter: Meter,
  name: string,
  description: string,
  maxAgeMs: number,
  count: () => Promise<number>,
): void {
  const reading = cachedReading(count, { maxAgeMs });
  meter.createObservableGauge(`${NAMESPACE}.${name}`, { description }).addCallback(async (result) => {
    const counted = await reading.get();
    if (counted !== undefined) result.observe(counted);
  });
}

/** How the consumers stand on all instances together, from the shared buckets; tries and stops only of this instance. */
export function meterConsumers(
  meter: Meter,
  {
    reports,
    local,
  }: {
    readonly reports: () => Promise<readonly ConsumerReport[]>;
    readonly local: () => readonly ConsumerStatus[];
  },
): void {
  const gauge = (name: string, description: string, unit = '') =>
    meter.createObservableGauge(`jetledger.consumer.${name}`, { description, unit });
  const lag = gauge(
    'lag.events',
    'Commits that are stored and neither handled nor dead letters; messages that wait for receivers',
  );
  const seconds = gauge('lag.seconds', 'Age of the oldest of them', 's');
  const parked = gauge('parked', 'Commits that are dead letters');
  const paused = gauge('paused', '1 while the consumer is paused, else 0');
  const retrying = gauge('retrying', 'Aggregates that wait for another try in this process');
  const stopped = gauge('stopped', '1 when the consumer has stopped for good in this process, else 0');
  const reading = cachedReading(reports);
  meter.addBatchObservableCallback(
    async (result) => {
      for (const { consumer, ...status } of local()) {
        result.observe(retrying, status.retrying, { consumer });
        result.observe(stopped, status.stopped ? 1 : 0, { consumer });
      }
      for (const { consumer, ...report } of (await reading.get()) ?? []) {
        result.observe(lag, report.lag, { consumer });
        result.observe(seconds, report.lagSeconds, { consumer });
        result.observe(parked, report.parked, { consumer });
        result.observe(paused, report.paused ? 1 : 0, { consumer });
      }
    },
    [lag, seconds, parked, paused, retrying, stopped],
  );
}

/** The metrics of this process. */
export interface Metering {
  readonly meter: Meter;
  /** What the event store tells. */
  readonly store: StoreObserver;
  /** For GET /metrics; absent where that is off. */
  readonly scrape: Metrics['scrape'] | undefined;
  /** Ends what looks at this process by itself. */
  stop(): void;
}

/** First word of the name of every metric. */
export const NAMESPACE = 'jetledger';

/** Begins to measure this process and its event store. */
export function meteringOf({ meter, scrape }: Metrics, { metrics }: Pick<Config, 'metrics'>): Metering {
  return {
    meter,
    store: meterStore(meter, { namespace: NAMESPACE, categories }),
    scrape: metrics.enabled ? scrape : undefined,
    stop: meterProcess(meter).stop,
  };
}

/** Everything that is looked up when somebody asks: how log, views, consumers, timers and NATS stand. */
export function startGauges(
  { meter }: Metering,
  sources: {
    readonly config: Config;
    readonly nats: Nats;
    readonly log: Log;
    readonly views: ViewReader;
    readonly monitor: NatsMonitor;
    /** Of the consumers of this process. */
    readonly consumers: () => readonly ConsumerStatus[];
  },
): void {
  const { config, nats, log, views, monitor, consumers } = sources;
  const { requests } = nats;
  const { prefix } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  meterConnection(meter, nats.connection, requests.connected);
  meterNatsServers(meter, monitor);
  meterViews(meter, { log, views, now: systemRuntime.now });
  const foreign = 'Messages of somebody else that readers of the log have met';
  meterCount(meter, 'log.foreign_messages', foreign, 10_000, async () => {
    const buckets = bucketsOf(config, nats.viewRequests);
    return (await readForeign(buckets, prefix, log.incarnation)).count;
  });
  const admin = buildAdmin(config, nats, log);
  meterConsumers(meter, { reports: admin.consumers.status, local: consumers });
  const givenUp = 'Notifications that were given up and are dead letters';
  meterCount(meter, 'notifications.parked', givenUp, 30_000, async () => {
    return (await admin.parked.list({ consumer: NOTIFICATIONS })).length;
  });
  const overdue = 'Armed timers whose time passed more than a minute ago';
  meterCount(meter, 'timers.overdue', overdue, 10_000, () =>
    countOverdueTimers({ requests, prefix, timeoutMs, now: systemRuntime.now() }),
  );
}
