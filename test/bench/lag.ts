import { setTimeout as delay } from 'node:timers/promises';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type Projections, startProjections } from '../../src/projections/engine/start.ts';
import { views as allProjections } from '../../src/service/shop.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { rounded, scaled } from './measure.ts';
import { appendOrder, type OrderLog, openOrderLog, orderId } from './order-log.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const COMMITS_PER_SECOND = 1_000;
const EVENTS_PER_ORDER = 4;
const SECONDS = 20;
const LEAST_SECONDS = 3;
const LOOK_EVERY_MS = 2;

/** How far behind the log the slowest view's checkpoint is while 1,000 commits a second are appended. */
export const lagScenario: Scenario = {
  name: 'lag',
  title: 'Checkpoint lag of all views of one process, one durable server',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using opened = await openOrderLog({ syncAlways: true });
    const { log, requests } = opened;
    const runtime = systemRuntime;
    const buckets = createNatsBuckets({
      requests,
      runtime,
      replicas: 1,
      timeoutMs: 15_000,
      announceLosses: true,
    });
    const settings = { prefix: TEST_LOG.prefix };
    const views = startProjections({ log, buckets, runtime, settings, projections: allProjections });
    const seconds = scaled(SECONDS, scale, LEAST_SECONDS);
    const [p50, p99, reached]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < rounds; round++) {
      const measured = await lagsUnderLoad(opened, views, round, seconds);
      p50.push(at(measured.lags, 0.5));
      p99.push(at(measured.lags, 0.99));
      reached.push(measured.perSecond);
      print(`${Math.round(measured.perSecond)} commits/s, p50 ${p50.at(-1)} ms, p99 ${p99.at(-1)} ms`);
    }
    await views.stop();
    const note = `${allProjections.length} views, checkpoints at most every 100 ms, ${rounded(reached).median} commits/s reached`;
    const row = (name: string, values: readonly number[]): ResultRow => ({
      name,
      product: rounded(values),
      unit: 'ms',
      note,
    });
    return [
      row('checkpoint lag at 1,000 commits/s, p50', p50),
      row('checkpoint lag at 1,000 commits/s, p99', p99),
    ];
  },
};

/** The time from a commit's acknowledgement until every view's checkpoint covers it, for each commit. */
async function lagsUnderLoad({ log }: OrderLog, views: Projections, round: number, seconds: number) {
  const acknowledged: { position: number; at: number }[] = [];
  const lags: number[] = [];
  let loaded = false;
  const noting = {
    ...log,
    append: (async (...args) => {
      const result = await log.append(...args);
      if (result.appended) acknowledged.push({ position: result.version, at: performance.now() });
      return result;
    }) satisfies typeof log.append,
  };
  const watching = (async () => {
    for (let next = 0; !loaded || next < acknowledged.length; await delay(LOOK_EVERY_MS)) {
      const covered = Math.min(...views.status().map(({ position }) => numberOf(position)));
      const now = performance.now();
      for (; (acknowledged[next]?.position ?? Number.POSITIVE_INFINITY) <= covered; next++) {
        lags.push(now - (acknowledged[next]?.at ?? now));
      }
    }
  })();
  const start = performance.now();
  const total = (COMMITS_PER_SECOND * seconds) / EVENTS_PER_ORDER;
  const working: Promise<void>[] = [];
  for (let n = 0; n < total; n++) {
    const due = start + (n * EVENTS_PER_ORDER * 1_000) / COMMITS_PER_SECOND;
    const early = due - performance.now();
    if (early > 1) await delay(early);
    working.push(appendOrder(noting, `${orderId(n)}-${round}`));
  }
  await Promise.all(working);
  const took = (performance.now() - start) / 1_000;
  loaded = true;
  await watching;
  return { lags, perSecond: acknowledged.length / took };
}

function at(values: number[], part: number): number {
  values.sort((a, b) => a - b);
  return Math.round((values[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0) * 10) / 10;
}
