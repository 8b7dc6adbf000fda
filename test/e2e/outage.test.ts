import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import type { OrderEvent } from '../../src/domain/order-state.ts';
import { codecOf } from '../../src/eventstore/event-codec.ts';
import { openTestLog } from '../support/nats-log.ts';
import { startTestServer, type TestServer } from '../support/nats-server.ts';
import { createDataDir, runCommand, startService, stopService } from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { type Answer, ask, must } from './client.ts';
import { openShop, PAYMENT, type Shop, STILL_ORDERS, showShop } from './shop.ts';

const CALLERS = 6;
/** The bound is about 2 s; the machine that runs this may be busy. */
const ANSWER_WITHIN_MS = 4_000;

/** Orders that are placed again and again, each under a key of its own, until `stop`. */
function placeOrders(url: string, { userId, sku }: Shop) {
  const answers = new Map<string, Answer[]>();
  let stopped = false;
  const place = async (key: string): Promise<Answer> => {
    const body = { userId, lines: [{ sku, quantity: 1 }], payment: PAYMENT };
    const answer = await ask(url, 'POST', '/v1/orders', body, { 'idempotency-key': key });
    answers.set(key, [...(answers.get(key) ?? []), answer]);
    return answer;
  };
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let n = 1; !stopped; n++) {
      const { status } = await place(`order-${caller}-${n}`);
      // A client that was told to come back later does not hammer.
      if (status === 503) await delay(100);
    }
  });
  return {
    all: () => [...answers.values()].flat(),
    answers,
    place,
    stop: async () => {
      stopped = true;
      await Promise.all(callers);
    },
  };
}

const accepted = (answers: readonly Answer[]): number =>
  answers.filter(({ status }) => status === 201).length;

/** How often each order was placed, as the log says. */
async function ordersInLog(server: TestServer): Promise<Map<string, number>> {
  await using opened = await openTestLog(server.url);
  const codec = codecOf<OrderEvent>(order);
  const placed = new Map<string, number>();
  for await (const { commits } of opened.log.scan({ after: 0, filter: { category: order.category } })) {
    for (const { stream, decisions } of commits) {
      const events = decisions.flatMap((decision) => decision.events.map(codec.decode));
      const count = events.filter(({ $typeName }) => $typeName === 'jetledger.order.v1.OrderPlaced').length;
      placed.set(stream.id, (placed.get(stream.id) ?? 0) + count);
    }
  }
  return placed;
}

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
    await runCommand(['topology', 'apply'], variables);
    await using service = await startService(variables);
    const { url } = service;
    const shop = await openShop(url, 'outage');
    const load = placeOrders(url, shop);
    await until('orders flow', () => accepted(load.all()) >= 50);

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

    const before = accepted(load.all());
    await until(
      'it is ready by itself',
      async () => (await ask(url, 'GET', '/health/ready')).status === 200,
      15_000,
    );
    await until('orders flow again', () => accepted(load.all()) >= before + 50);
    await load.stop();
    const odd = load.all().filter(({ status }) => status !== 201 && status !== 503);
    expect(odd.map(({ body }) => body)).toEqual([]);

    for (const [key, answers] of load.answers) if (accepted(answers) === 0) await load.place(key);
    const orderIds = [...load.answers.values()].map((answers) => answers.at(-1)?.field('id'));
    const inLog = await ordersInLog(server);
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
