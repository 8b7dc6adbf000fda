import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { DURABLE, prepareServer } from './http-service.ts';
import { interleaved, ratioOf, rounded, secondsOf } from './measure.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';
import { type Measured, openShop, type Shop } from './whole-order.ts';

const ALL = ['api,projections,processes'] as const;
const APART = ['api', 'projections', 'processes'] as const;
const THREE = { JETLEDGER_LOG__REPLICAS: '3' };
/** One way, in milliseconds, so that everything else is little beside it. */
const DELAY_MS = 10;
const PER_SECOND = 20;

/** Whole orders: placed over HTTP, validated, reserved, paid, confirmed. */
export const wholeOrderScenario: Scenario = {
  name: 'whole-order',
  title: 'A whole order of three lines, from the request to `OrderConfirmed` in the log',
  run: async (options) => [
    ...(await onOneServer('one process, default sync', false, options)),
    ...(await onOneServer('one process, `sync_interval: always`', true, options)),
    ...(await onThreeServers(options)),
    ...(await apart(options)),
    await roundTrips(options),
  ],
};

type Rows = (name: string, pick: (measured: Measured) => number, unit: string) => ResultRow;

const rowsOf =
  (what: string, rounds: readonly Measured[]): Rows =>
  (name, pick, unit) => ({ name: `13. ${what}: ${name}`, product: rounded(rounds.map(pick)), unit });

const each =
  (of: 'serviceUs' | 'serverUs' | 'messages' | 'commits' | 'synced') =>
  (measured: Measured): number =>
    measured[of] / measured.orders;

async function repeated({ rounds }: BenchOptions, measure: () => Promise<Measured>): Promise<Measured[]> {
  const all: Measured[] = [];
  for (let round = 0; round < rounds; round++) all.push(await measure());
  return all;
}

async function paced(what: string, shop: Shop, options: BenchOptions): Promise<ResultRow[]> {
  const seconds = 2 * secondsOf(options.scale);
  await shop.order({ callers: 64 }, seconds);
  const rows: ResultRow[] = [];
  for (const callers of [64, 1]) {
    const name = `${what}, ${callers === 1 ? 'alone' : `${callers} at once`}`;
    const rounds = await repeated(options, () => shop.order({ callers }, seconds));
    const row = rowsOf(name, rounds);
    rows.push(
      row('confirmed', ({ orders, seconds }) => orders / seconds, 'orders/s'),
      row('from request to confirmed, p50', ({ p50 }) => p50, 'ms'),
      row('from request to confirmed, p99', ({ p99 }) => p99, 'ms'),
      row('CPU of the service', each('serviceUs'), 'us an order'),
      row('CPU of the servers', each('serverUs'), 'us an order'),
      row('messages to the servers', each('messages'), 'an order'),
      row('commits', each('commits'), 'an order'),
      row('stored messages that a server syncs', each('synced'), 'an order'),
    );
    options.print(`${name}: ${rounds.map((one) => Math.round(one.orders / one.seconds))} orders/s`);
  }
  return rows;
}

async function onOneServer(what: string, syncAlways: boolean, options: BenchOptions): Promise<ResultRow[]> {
  await using server = await startTestServer({ syncAlways });
  await prepareServer(server.url);
  await using shop = await openShop([server], ALL, syncAlways ? DURABLE : {});
  const rows = await paced(what, shop, options);
  if (syncAlways) return rows;
  const seconds = 5 * secondsOf(options.scale);
  const slow = rowsOf(
    `${what}, ${PER_SECOND} orders/s`,
    await repeated(options, () => shop.order({ perSecond: PER_SECOND }, seconds)),
  );
  const idle = rowsOf(`${what}, idle`, await repeated(options, () => shop.idle(seconds)));
  return [
    ...rows,
    slow('from request to confirmed, p50', ({ p50 }) => p50, 'ms'),
    slow('CPU of the service', each('serviceUs'), 'us an order'),
    slow('CPU of the server', each('serverUs'), 'us an order'),
    idle('CPU of the service', ({ serviceUs, seconds }) => serviceUs / seconds, 'us/s'),
    idle('CPU of the server', ({ serverUs, seconds }) => serverUs / seconds, 'us/s'),
    idle('messages to the server', ({ messages, seconds }) => messages / seconds, 'a second'),
  ];
}

async function onThreeServers(options: BenchOptions): Promise<ResultRow[]> {
  await using cluster = await startTestCluster({ syncAlways: true });
  const [first] = cluster.urls;
  await prepareServer(first ?? '', THREE);
  await using shop = await openShop(cluster.nodes, ALL, { ...DURABLE, ...THREE });
  return await paced('one process, three servers, `sync_interval: always`', shop, options);
}

/** Each role in a process of its own, in turns with all in one. */
async function apart(options: BenchOptions): Promise<ResultRow[]> {
  await using one = await startTestServer({ syncAlways: false });
  await using other = await startTestServer({ syncAlways: false });
  for (const { url } of [one, other]) await prepareServer(url);
  await using together = await openShop([one], ALL, {});
  await using separate = await openShop([other], APART, {});
  const seconds = 2 * secondsOf(options.scale);
  const sides = {
    apart: () => separate.order({ callers: 64 }, seconds),
    together: () => together.order({ callers: 64 }, seconds),
  };
  const measured = await interleaved(options.rounds, sides);
  const cpu = ({ serviceUs, serverUs, orders }: Measured): number => (serviceUs + serverUs) / orders;
  const rates = rowsOf('roles apart, default sync, 64 at once', measured.apart);
  return [
    rates('confirmed', ({ orders, seconds }) => orders / seconds, 'orders/s'),
    {
      name: '13. roles apart / one process, default sync, 64 at once: CPU of services and server',
      product: rounded(measured.apart.map(cpu)),
      baseline: rounded(measured.together.map(cpu)),
      ratio: ratioOf(measured.apart.map(cpu), measured.together.map(cpu)),
      lowerIsBetter: true,
      goal: 1.15,
      unit: 'us an order',
    },
  ];
}

/** How many round trips lie one behind the other: what a slower way to the server adds, in ways there and back. */
async function roundTrips(options: BenchOptions): Promise<ResultRow> {
  await using server = await startTestServer({ syncAlways: false });
  await prepareServer(server.url);
  await using proxy = await startFaultProxy(server.url);
  await using shop = await openShop([server], ALL, {}, proxy.url);
  const seconds = 2 * secondsOf(options.scale);
  const times: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    const { p50: near } = await shop.order({ callers: 1 }, seconds);
    proxy.delay(DELAY_MS);
    const { p50: far } = await shop.order({ callers: 1 }, 2 * seconds);
    proxy.heal();
    times.push((far - near) / (2 * DELAY_MS));
  }
  const name = '13. round trips from placing to confirmed, one behind the other';
  return { name, product: rounded(times), unit: 'round trips' };
}
