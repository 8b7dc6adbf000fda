import { expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { createDataDir, startService, stopService } from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { placeOrders } from './load.ts';
import { ordersInLog } from './orders-in-log.ts';
import { openShop, PAYMENT, STILL_ORDERS, showShop } from './shop.ts';

const CALLERS = 6;
/** The bound is about 2 s; the machine that runs this may be busy. */
const ANSWER_WITHIN_MS = 4_000;

const outages = [
  {
    what: 'killed and started again',
    begin: (server: TestServer) => server.kill9(),
    end: (server: TestServer) => server.restart(),
  },
  {
    what: 'paused and resumed',
    begin: async (server: TestServer) => void server.signal('SIGSTOP'),
    end: async (server: TestServer) => void server.signal('SIGCONT'),
  },
] as const;

it.each(outages)(
  'while the NATS server is $what every request is answered in time, and nothing is lost or doubled',
  async ({ begin, end }) => {
    await using server = await startTestServer();
    await using data = await createDataDir();
    const variables = { ...data.variables, ...STILL_ORDERS, NATS_URL: server.url };
    await applyTopology(variables);
    await using service = await startService(variables);
    const { url } = service;
    const shop = await openShop(url, 'outage');
    const load = placeOrders(() => url, shop);
    await until('orders flow', () => load.accepted() >= 50);

    await begin(server);
    const since = load.all().length;
    const away = () => load.all().slice(since);
    await until('callers are told that it is away', () => away().length >= 3 * CALLERS, 15_000);
    const [ready, live, read] = await Promise.all([
      ask(url, 'GET', '/health/ready'),
      ask(url, 'GET', '/health/live'),
      ask(url, 'GET', `/v1/orders/${shop.orderId}`),
    ]);
    await end(server);

    expect({ ready: ready.status, ok: ready.field('ok'), live: live.status }).toEqual({
      ready: 503,
      ok: false,
      live: 200,
    });
    expect(read.status).toBe(503);
    const told = [...away().filter(({ status }) => status === 503), read];
    expect(told.every(({ headers }) => Number(headers.get('retry-after')) >= 1)).toBe(true);
    expect(Math.max(...[...told, ready].map(({ ms }) => ms))).toBeLessThan(ANSWER_WITHIN_MS);

    const before = load.accepted();
    await until(
      'it is ready by itself',
      async () => (await ask(url, 'GET', '/health/ready')).status === 200,
      15_000,
    );
    await until('orders flow again', () => load.accepted() >= before + 50);
    await load.stop();
    const odd = load.all().filter(({ status }) => status !== 201 && status !== 503);
    expect(odd.map(({ body }) => body)).toEqual([]);

    for (const [key, answers] of load.answers)
      if (!answers.some(({ status }) => status === 201)) await load.place(key);
    const orderIds = [...load.answers.values()].map((answers) => answers.at(-1)?.field('id'));
    const inLog = await ordersInLog(server.url);
    expect(orderIds.filter((id) => inLog.get(String(id)) !== 1)).toEqual([]);
    expect(inLog.size).toBe(new Set(orderIds).size + 1);
    const last = await must(201, url, 'POST', '/v1/orders', {
      userId: shop.userId,
      lines: [{ sku: shop.sku, quantity: 1 }],
      payment: PAYMENT,
    });
    await showShop(url, { ...shop, last });
    await stopService(service);
  },
  60_000,
);
