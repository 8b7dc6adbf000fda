import { startTestServer } from '../support/nats-server.ts';
import { startBareRoutes } from './http-bare.ts';
import { answersPerSecond, type BenchRequest, CONNECTIONS, WARM_UP_SECONDS } from './http-load.ts';
import { fillWithOrders, ordersBucket } from './http-rows.ts';
import { DURABLE, prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { interleaved, ratioOf, rounded, secondsOf } from './measure.ts';
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
  await using service = await startServiceOn(server.url, 'api');
  await using bare = await startBareRoutes('nats', server.url, await ordersBucket(server.url));
  return [
    await compare('10. `POST /v1/orders` / one js.publish', 0.75, options, orders, service, bare),
    await compare('12. `GET /v1/orders/{id}` / one direct get', 0.85, options, shown, service, bare),
  ];
}

interface Side {
  readonly url: string;
}

async function compare(
  name: string,
  goal: number,
  { rounds, scale, print }: BenchOptions,
  requests: readonly BenchRequest[],
  service: Side,
  bare: Side,
): Promise<ResultRow> {
  const seconds = secondsOf(scale);
  for (const { url } of [service, bare]) await answersPerSecond(url, requests, WARM_UP_SECONDS);
  const measured = await interleaved(rounds, {
    product: () => answersPerSecond(service.url, requests, seconds),
    bare: () => answersPerSecond(bare.url, requests, seconds),
  });
  print(`${name}: ${measured.product.map(Math.round)}; bare ${measured.bare.map(Math.round)}`);
  return rowOf(name, measured, goal);
}

function rowOf(name: string, sides: { product: number[]; bare: number[] }, goal?: number): ResultRow {
  return {
    name,
    ratio: ratioOf(sides.product, sides.bare),
    ...(goal !== undefined && { goal }),
    product: rounded(sides.product),
    baseline: rounded(sides.bare),
    unit: 'requests/s',
  };
}

/** Each round has a server of its own: what the other roles still have to do must not slow the other side down. */
async function allRoles({ rounds, scale }: BenchOptions): Promise<ResultRow> {
  const seconds = secondsOf(scale);
  const sides = { product: [] as number[], bare: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    await using server = await startTestServer();
    await prepareServer(server.url);
    await using service = await startServiceOn(server.url, ALL_ROLES);
    const requests = await openBenchShop(service.url);
    await using bare = await startBareRoutes('nats', server.url, '');
    await answersPerSecond(bare.url, requests, seconds);
    sides.bare.push(await answersPerSecond(bare.url, requests, seconds));
    await answersPerSecond(service.url, requests, seconds);
    sides.product.push(await answersPerSecond(service.url, requests, seconds));
  }
  return rowOf('the same, all roles in one process, orders processed meanwhile', sides);
}

/** Placing orders where each is on the disk before it is answered. */
async function durable(options: BenchOptions): Promise<ResultRow> {
  await using server = await startTestServer({ syncAlways: true });
  await prepareServer(server.url);
  await using service = await startServiceOn(server.url, 'api', DURABLE);
  const orders = await openBenchShop(service.url);
  await using database = await startPeerDatabase();
  await using bare = await startBareRoutes('emmett', database.url);
  const name = '11. `POST /v1/orders`, `sync_interval: always` / emmett on PostgreSQL';
  return { ...(await compare(name, 2, options, orders, service, bare)), note: database.what };
}
