import { startTestServer } from '../../src/testing/nats-server.ts';
import { startBareRoutes } from './http-bare.ts';
import {
  type Answering,
  type BenchRequest,
  CONNECTIONS,
  type Load,
  load,
  WARM_UP_SECONDS,
} from './http-load.ts';
import { fillWithOrders, ordersBucket } from './http-rows.ts';
import { DURABLE, prepareServer, STRIPPED, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { interleaved, intervalOf, ratioOf, rounded, secondsOf } from './measure.ts';
import { startPeerDatabase } from './peers/peer.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const ALL_ROLES = 'api,projections,processes';

/** Requests over HTTP against a bare Fastify that does the one thing they are about. */
export const httpScenario = (peers: boolean): Scenario => ({
  name: 'http',
  title: `HTTP over ${CONNECTIONS} connections, the service and the bare Fastify in a process each`,
  run: async (options) => [
    ...(await onOneServer(options)),
    await allRoles(options),
    ...(peers ? [await durable(options)] : []),
  ],
});

/** Placing and showing orders, the role api alone. */
async function onOneServer(options: BenchOptions): Promise<ResultRow[]> {
  await using server = await startTestServer();
  await prepareServer(server.url);
  const { orders, shown } = await fillWithOrders(server.url);
  await using shipped = await startServiceOn(server.url, 'api');
  await using stripped = await startServiceOn(server.url, 'api', STRIPPED);
  await using bare = await startBareRoutes('nats', server.url, await ordersBucket(server.url));
  const sides = { shipped, stripped, bare };
  return [
    ...(await compare('10. `POST /v1/orders`', 'one js.publish', 0.75, options, orders, sides)),
    ...(await compare('12. `GET /v1/orders/{id}`', 'one direct get', 0.85, options, shown, sides)),
  ];
}

/** As shipped first; what is stripped of lines and metrics is told beside it. */
async function compare(
  name: string,
  other: string,
  goal: number,
  { rounds, scale, print }: BenchOptions,
  requests: readonly BenchRequest[],
  sides: Readonly<Record<'shipped' | 'stripped' | 'bare', Answering>>,
): Promise<ResultRow[]> {
  const seconds = secondsOf(scale);
  for (const side of Object.values(sides)) await load(side, requests, WARM_UP_SECONDS);
  const { shipped, stripped, bare } = await interleaved(rounds, {
    shipped: () => load(sides.shipped, requests, seconds),
    stripped: () => load(sides.stripped, requests, seconds),
    bare: () => load(sides.bare, requests, seconds),
  });
  for (const [side, loads] of Object.entries({ shipped, stripped, bare }))
    print(
      `${name}, ${side}: ${loads.map(({ perSecond, cpu }) => `${Math.round(perSecond)}/s ${Math.round(cpu)} us`)}`,
    );
  return [
    ...loadRows(`${name} as shipped / ${other}`, shipped, bare, goal),
    ...loadRows(`${name}, log level \`warn\`, metrics off / ${other}`, stripped, bare),
  ];
}

/** By rate, and what a request costs the process that answers. */
export function loadRows(
  name: string,
  product: readonly Load[],
  baseline: readonly Load[],
  goal?: number,
): ResultRow[] {
  const cpu = [product.map((each) => each.cpu), baseline.map((each) => each.cpu)] as const;
  return [
    rowOf(name, perSecond(product), perSecond(baseline), goal),
    {
      name: `${name}: CPU of the process`,
      lowerIsBetter: true,
      ratio: ratioOf(...cpu),
      between: intervalOf(...cpu),
      product: rounded(cpu[0]),
      baseline: rounded(cpu[1]),
      unit: 'us a request',
    },
  ];
}

const perSecond = (loads: readonly Load[]): number[] => loads.map((each) => each.perSecond);

function rowOf(name: string, product: number[], baseline: number[], goal?: number): ResultRow {
  return {
    name,
    ratio: ratioOf(product, baseline),
    between: intervalOf(product, baseline),
    ...(goal !== undefined && { goal }),
    product: rounded(product),
    baseline: rounded(baseline),
    unit: 'requests/s',
  };
}

/** Each round has a server of its own: what the other roles still have to do must not slow the other side down. */
async function allRoles({ rounds, scale }: BenchOptions): Promise<ResultRow> {
  const seconds = secondsOf(scale);
  const [all, alone]: Load[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    await using server = await startTestServer();
    await prepareServer(server.url);
    await using service = await startServiceOn(server.url, ALL_ROLES);
    const requests = await openBenchShop(service.url);
    await using bare = await startBareRoutes('nats', server.url, '');
    await load(bare, requests, seconds);
    alone?.push(await load(bare, requests, seconds));
    await load(service, requests, seconds);
    all?.push(await load(service, requests, seconds));
  }
  const name = '10. the same as shipped, all roles in one process, orders processed meanwhile';
  return rowOf(name, perSecond(all ?? []), perSecond(alone ?? []));
}

/** Placing orders where each is on the disk before it is answered. */
async function durable(options: BenchOptions): Promise<ResultRow> {
  await using server = await startTestServer({ syncAlways: true });
  await prepareServer(server.url);
  await using service = await startServiceOn(server.url, 'api', DURABLE);
  const orders = await openBenchShop(service.url);
  await using database = await startPeerDatabase(true);
  await using bare = await startBareRoutes('emmett', database.url);
  const seconds = secondsOf(options.scale);
  for (const side of [service, bare]) await load(side, orders, WARM_UP_SECONDS);
  const measured = await interleaved(options.rounds, {
    service: () => load(service, orders, seconds),
    bare: () => load(bare, orders, seconds),
  });
  const name = '11. `POST /v1/orders` as shipped, `sync_interval: always` / emmett on PostgreSQL';
  const row = rowOf(name, perSecond(measured.service), perSecond(measured.bare), 2);
  return { ...row, note: database.what };
}
