import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { ask, must } from '../e2e/client.ts';
import { ordersInLog } from '../e2e/orders-in-log.ts';
import { PAYMENT, STILL_ORDERS } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';

const STORM = 200;

let server: TestServer;
const services: Service[] = [];

beforeAll(async () => {
  server = await startTestServer();
  const key = { JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32) };
  expect((await runInProcess(server, topologyCommand, ['apply'], key)).code).toBe(0);
  const env = { JETLEDGER_ENV: 'test', NATS_URL: server.url, ...key, ...STILL_ORDERS };
  for (let i = 0; i < 2; i++) {
    const config = loadConfig({ env, dir: configDir(env) });
    services.push(await startService(config, pino({ level: 'silent' })));
  }
});
afterAll(async () => {
  for (const service of services) await service.stop();
  await server?.stop();
});

/** The same request, as often and at once, by turns to each instance. @returns the different answers */
async function storm(path: string, body: object, key: string): Promise<string[]> {
  const urls = services.map(({ url }) => url);
  const all = Array.from({ length: STORM }, (_, i) =>
    ask(urls[i % urls.length] ?? '', 'POST', path, body, { 'idempotency-key': key }),
  );
  const answers = await Promise.all(all);
  return [...new Set(answers.map((answer) => `${answer.status} ${JSON.stringify(answer.body)}`))];
}

it('equal requests to two instances at once take effect once and get one answer, whatever they ask for', async () => {
  const url = services[0]?.url ?? '';
  const registered = await storm('/v1/users', { email: 'ada@example.com', name: 'Ada' }, 'user');
  expect(registered).toEqual([expect.stringMatching(/^201 /)]);
  const userId = JSON.parse((registered[0] ?? '').slice(4)).id as string;
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  const stocked = await storm('/v1/products/TEA/stock', { receiptId: 'r1', quantity: 7 }, 'stock');
  expect(stocked).toEqual([expect.stringMatching(/^200 .*"onHand":7,/)]);
  const order = { userId, lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT };
  const placed = await storm('/v1/orders', order, 'order');
  expect(placed).toEqual([expect.stringMatching(/^201 /)]);
  const orderId = JSON.parse((placed[0] ?? '').slice(4)).id as string;
  expect([...(await ordersInLog(server.url))]).toEqual([[orderId, 1]]);
  const moved = await storm(`/v1/users/${userId}/email`, { email: 'king@example.com' }, 'email');
  expect(moved).toEqual([expect.stringMatching(/^200 .*king@example\.com/)]);
  const cancelled = await storm(`/v1/orders/${orderId}/cancel`, { reason: 'No more' }, 'cancel');
  expect(cancelled).toEqual([expect.stringMatching(/^200 .*"cancelled"/)]);
}, 60_000);
