import { expect, it } from 'vitest';
import { isAlive } from '../../src/platform/nats-server/process.ts';
import { until } from '../../src/testing/until.ts';
import { createDataDir, startCommand } from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { openShop, PAYMENT } from './shop.ts';

it('`jetledger cluster` runs three servers and three services; orders go on without the leader and without a service', async () => {
  await using data = await createDataDir();
  await using cluster = await startCommand(['cluster'], data.variables);
  const text = (): string => cluster.output().stdout;
  await until('it says what to try', () => text().includes('What was killed') || !cluster.alive(), 60_000);
  const services = [...text().matchAll(/^ {2}app\d {2}(http:\S+) {2}pid (\d+)$/gm)];
  const urls = services.map(([, url]) => String(url));
  const pids = [...text().matchAll(/^ {2}(?:n|app)\d .*pid (\d+)/gm)].map(([, pid]) => Number(pid));
  expect([urls.length, pids.length]).toEqual([3, 6]);
  const [first = '', second = '', third = ''] = urls;
  const leader = Number(/pid (\d+) {2}leads the log/.exec(text())?.[1]);

  const { userId, sku } = await openShop(first, 'cluster');
  const body = { userId, lines: [{ sku, quantity: 1 }], payment: PAYMENT };
  const placeVia = async (url: string, key: string): Promise<void> => {
    await until(
      'an order is taken',
      async () => (await ask(url, 'POST', '/v1/orders', body, { 'idempotency-key': key })).status === 201,
      30_000,
    );
  };
  await until('all are ready', async () => {
    const all = await Promise.all(urls.map((url) => ask(url, 'GET', '/health/ready')));
    return all.every(({ status }) => status === 200);
  });
  process.kill(leader, 'SIGKILL');
  await placeVia(second, 'without-the-leader');
  process.kill(Number(services[0]?.[2]), 'SIGKILL');
  await until('it says that a service has ended', () => text().includes('app1 has ended: SIGKILL'));
  await placeVia(third, 'without-a-service');
  await must(200, third, 'GET', '/health/live');

  cluster.signal('SIGINT');
  const { code } = await cluster.ended(30_000);
  expect(code).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
}, 120_000);
