import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { NatsConnection } from '@nats-io/transport-node';
import type { Meter } from '@opentelemetry/api';
import { logReading, type NatsMonitor } from '../nats-monitor.ts';

/** A value that is expensive to read, for gauges: read at most every `maxAgeMs`, and a scrape waits `waitMs` at most. */
export interface CachedReading<T> {
  /** The newest value that could be had in time; undefined when there is none that is younger than `staleMs`. */
  get(): Promise<T | undefined>;
}

const DEFAULTS = { maxAgeMs: 5_000, waitMs: 800, staleMs: 60_000 };

/** Reads on demand only: what nobody asks for costs nothing. A read that fails keeps the last value until it is stale. */
export function cachedReading<T>(
  read: () => Promise<T>,
  options: Partial<typeof DEFAULTS> & { readonly now?: () => number } = {},
): CachedReading<T> {
  const { maxAgeMs, waitMs, staleMs, now = Date.now } = { ...DEFAULTS, ...options };
  let last: { readonly value: T; readonly at: number } | undefined;
  let reading: Promise<void> | undefined;

  const refresh = (): Promise<void> => {
    reading ??= read()
      .then((value) => {
        last = { value, at: now() };
      })
      .catch(() => undefined)
      .finally(() => {
        reading = undefined;
      });
    return reading;
  };
  return {
    get: async () => {
      if (last === undefined || now() - last.at >= maxAgeMs) await within(refresh(), waitMs);
      return last !== undefined && now() - last.at < staleMs ? last.value : undefined;
    },
  };
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

/** Whether this process is connected to NATS, and how often it had to connect again. */
export function meterConnection(meter: Meter, connection: NatsConnection, connected: () => boolean): void {
  meter
    .createObservableGauge('jetledger.nats.connected', { description: '1 while connected to NATS, else 0' })
    .addCallback((result) => result.observe(connected() ? 1 : 0));
  const reconnects = meter.createCounter('jetledger.nats.reconnects', {
    description: 'How often the connection to NATS was lost and made again',
  });
  reconnects.add(0);
  void (async () => {
    // Ends when the connection is closed.
    for await (const status of connection.status()) if (status.type === 'reconnect') reconnects.add(1);
  })();
}

/** What the servers say on their monitoring endpoints; nothing where none is known. */
export function meterNatsServers(meter: Meter, monitor: NatsMonitor): void {
  if (monitor.endpoints === 0) return;
  const gauge = (name: string, description: string, unit = '') =>
    meter.createObservableGauge(`jetledger.nats.${name}`, { description, unit });
  const storage = gauge('server.storage', 'Storage in use by JetStream', 'By');
  const limit = gauge('server.storage.limit', 'Storage that JetStream may use', 'By');
  const memory = gauge('server.memory', 'Memory of the server process', 'By');
  const slow = gauge('server.slow_consumers', 'Clients that could not keep up, since the server started');
  const cpu = gauge('server.cpu.percent', 'Processor use of the server, 100 = one core');
  const sync = gauge('server.sync_always', '1 when the server syncs before it acknowledges, else 0');
  const healthy = gauge('server.healthy', '1 when the server says that it is healthy, else 0');
  const leader = gauge('log.has_leader', '1 when the log has a leader, else 0');
  const current = gauge('log.replicas_current', 'Copies of the log that are up to date');
  const replicas = gauge('log.replicas', 'Copies of the log that there should be');
  meter.addBatchObservableCallback(
    (result) => {
      const readings = monitor.latest();
      for (const reading of readings) {
        const labels = { server: reading.server };
        result.observe(storage, reading.storageBytes, labels);
        result.observe(limit, reading.storageLimitBytes, labels);
        result.observe(memory, reading.memoryBytes, labels);
        result.observe(slow, reading.slowConsumers, labels);
        result.observe(cpu, reading.cpuPercent, labels);
        result.observe(sync, reading.syncAlways ? 1 : 0, labels);
        result.observe(healthy, reading.illness === undefined ? 1 : 0, labels);
      }
      const log = logReading(readings);
      if (log === undefined) return;
      result.observe(leader, log.leader === undefined ? 0 : 1);
      result.observe(current, log.current);
      result.observe(replicas, log.replicas);
    },
    [storage, limit, memory, slow, cpu, sync, healthy, leader, current, replicas],
  );
}

const WINDOW_MS = 10_000;
/** How often the event loop is asked to be in time; each time wakes an idle process. */
const RESOLUTION_MS = 100;
const NANO = 1e9;
const MICRO = 1e6;

/** Processor time, memory and event loop of this process. The loop's figures are those of the last ten seconds. */
export function meterProcess(meter: Meter): { stop(): void } {
  meter
    .createObservableCounter('process.cpu', { unit: 's', description: 'Processor time, user and system' })
    .addCallback((result) => {
      const { user, system } = process.cpuUsage();
      result.observe((user + system) / MICRO);
    });
  meter
    .createObservableGauge('process.resident_memory', { unit: 'By', description: 'Memory of the process' })
    .addCallback((result) => result.observe(process.memoryUsage.rss()));
  meter
    .createObservableGauge('nodejs.heap_used', { unit: 'By', description: 'Heap in use' })
    .addCallback((result) => result.observe(process.memoryUsage().heapUsed));
  return meterEventLoop(meter);
}

function meterEventLoop(meter: Meter): { stop(): void } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  let since = performance.eventLoopUtilization();
  const look = () => {
    const utilization = performance.eventLoopUtilization(since).utilization;
    // What is measured is the time between two ticks; without a sample yet it is no number of any meaning.
    const late = (percentile: number): number =>
      histogram.count === 0
        ? 0
        : Math.max(0, histogram.percentile(percentile) / NANO - RESOLUTION_MS / 1_000);
    return { p50: late(50), p99: late(99), utilization };
  };
  let last: ReturnType<typeof look> | undefined;
  const turn = setInterval(() => {
    last = look();
    histogram.reset();
    since = performance.eventLoopUtilization();
  }, WINDOW_MS);
  turn.unref();
  const delay = (percentile: 'p50' | 'p99'): void =>
    meter
      .createObservableGauge(`nodejs.eventloop.delay.${percentile}`, {
        unit: 's',
        description: `How late the event loop is, in the last ten seconds: ${percentile}`,
      })
      .addCallback((result) => result.observe((last ?? look())[percentile]));
  delay('p50');
  delay('p99');
  const utilization = meter.createObservableGauge('nodejs.eventloop.utilization', {
    description: 'Share of the time that the event loop was busy, in the last ten seconds',
  });
  utilization.addCallback((result) => result.observe((last ?? look()).utilization));
  return {
    stop: () => {
      clearInterval(turn);
      histogram.disable();
    },
  };
}
