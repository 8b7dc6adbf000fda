import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { rebuild } from '../../src/projections/engine/rebuild/rebuild.ts';
import { orders } from '../../src/projections/views/orders.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { bareReplay, ratePerSecond } from './bare-replay.ts';
import { fillTogether } from './fill.ts';
import { interleaved, ratioOf, rounded, scaled } from './measure.ts';
import { fillOrders, type OrderLog, openOrderLog } from './order-log.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const EVENTS = 1_000_000;
const LEAST = 20_000;

/** A rebuild of `orders` (file storage, 4 events to an order) against a bare replay, and what it leaves in memory. */
export const rebuildScenario: Scenario = {
  name: 'rebuild',
  title: 'Rebuild of the view `orders`',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using opened = await openOrderLog();
    const events = scaled(EVENTS, scale, LEAST);
    print(`filling the log with ${events} events`);
    await fillOrders(opened.log, events);
    const end = await opened.log.head();
    const [before, after]: [number[], number[]] = [[], []];
    const measured = await interleaved(rounds, {
      bare: () => ratePerSecond(() => bareReplay(opened, numberOf(end), () => undefined)),
      product: async () => {
        before.push(megabytes());
        const rate = await ratePerSecond(() => rebuildOrders(opened, events));
        after.push(megabytes());
        print(`${rate} events/s, RSS ${before.at(-1)} to ${after.at(-1)} MiB`);
        return rate;
      },
    });
    return [
      {
        name: `9. rebuild of \`orders\`, ${events.toLocaleString('en-US')} events`,
        ratio: ratioOf(measured.product, measured.bare),
        goal: 0.4,
        product: rounded(measured.product),
        baseline: rounded(measured.bare),
        unit: 'events/s',
        note: 'bare: ordered consume whose callback looks at nothing',
      },
      {
        name: 'resident memory of the process that rebuilds, after and before',
        ratio: ratioOf(after, before),
        product: rounded(after),
        baseline: rounded(before),
        unit: 'MiB',
      },
      ...(await sharedRows(opened, rounds, events)),
    ];
  },
};

/** The first fill of the view by 2 processes that share its groups, beside 1. */
async function sharedRows(opened: OrderLog, rounds: number, events: number): Promise<readonly ResultRow[]> {
  const end = await opened.log.head();
  const [alone, together]: [number[], number[]] = [[], []];
  const fill = async (processes: number, cpu: number[]) => {
    const { seconds, cpuMicroseconds } = await fillTogether(opened, processes, end);
    cpu.push(cpuMicroseconds / events);
    return Math.round(events / seconds);
  };
  const shared = await interleaved(rounds, { one: () => fill(1, alone), two: () => fill(2, together) });
  return [
    {
      name: 'first fill of `orders`, 16 groups shared by 2 processes, beside 1',
      ratio: ratioOf(shared.two, shared.one),
      product: rounded(shared.two),
      baseline: rounded(shared.one),
      unit: 'events/s',
      note: 'each reads the whole log and folds its own groups; the server needs a core as well',
    },
    {
      name: 'CPU of those processes together, 2 beside 1',
      ratio: ratioOf(together.slice(1), alone.slice(1)),
      product: rounded(together.slice(1)),
      baseline: rounded(alone.slice(1)),
      unit: 'µs an event',
    },
  ];
}

async function rebuildOrders({ log, requests }: OrderLog, events: number): Promise<number> {
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({
    requests,
    runtime,
    replicas: 1,
    timeoutMs: 15_000,
    announceLosses: true,
  });
  // A service follows within `resolveMs`; none runs here, so nothing is fed after the switch.
  const settings = { prefix: TEST_LOG.prefix, resolveMs: 0, graceMs: 0 };
  await rebuild({ log, buckets, projection: orders, runtime, settings });
  return events;
}

function megabytes(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}
