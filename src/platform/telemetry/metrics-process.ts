import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Meter } from '@opentelemetry/api';

const WINDOW_MS = 10_000;
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
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  let since = performance.eventLoopUtilization();
  const look = () => {
    const utilization = performance.eventLoopUtilization(since).utilization;
    // Without a sample yet the percentiles are no numbers of any meaning.
    const [p50, p99] = histogram.count === 0 ? [0, 0] : [histogram.percentile(50), histogram.percentile(99)];
    return { p50: p50 / NANO, p99: p99 / NANO, utilization };
  };
  let last: ReturnType<typeof look> | undefined;
  const turn = setInterval(() => {
    last = look();
    histogram.reset();
    since = performance.eventLoopUtilization();
  }, WINDOW_MS);
  turn.unref();
  const delay = meter.createObservableGauge('nodejs.eventloop.delay', {
    unit: 's',
    description: 'How late the event loop is, in the last ten seconds',
  });
  const utilization = meter.createObservableGauge('nodejs.eventloop.utilization', {
    description: 'Share of the time that the event loop was busy, in the last ten seconds',
  });
  delay.addCallback((result) => {
    const { p50, p99 } = last ?? look();
    result.observe(p50, { quantile: '0.5' });
    result.observe(p99, { quantile: '0.99' });
  });
  utilization.addCallback((result) => result.observe((last ?? look()).utilization));
  return {
    stop: () => {
      clearInterval(turn);
      histogram.disable();
    },
  };
}
