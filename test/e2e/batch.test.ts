import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { createDataDir, type DataDir, startService, stopService } from '../support/service-process.ts';
import { type Answer, ask, must } from './client.ts';
import { STILL_ORDERS } from './shop.ts';

const COUNT = 1_000;
/** Once this item is stored the service is killed. */
const KILLED_AT = 150;
const TRIES = 5;

interface Item {
  readonly sku: string;
  readonly status: number;
  readonly version?: number;
}

let data: DataDir;

beforeAll(async () => {
  data = await createDataDir();
});
afterAll(async () => data[Symbol.asyncDispose]());

const price = { amountMinor: 450, currency: 'EUR' };
const skuOf = (run: number, n: number) => `B${run}-${String(n).padStart(4, '0')}`;
const productsOf = (run: number) =>
  Array.from({ length: COUNT }, (_, n) => ({ sku: skuOf(run, n), name: `Product ${n}`, price }));
const send = (url: string, run: number): Promise<Answer> =>
  must(
    200,
    url,
    'POST',
    '/v1/batches/products',
    { products: productsOf(run) },
    { 'idempotency-key': `run-${run}` },
  );
const itemsOf = (answer: Answer) => answer.field('items') as Item[];
const stored = (url: string, sku: string) => ask(url, 'GET', `/v1/products/${sku}?consistency=strong`);

/** Kills a service in the midst of a batch. @returns the service that follows it, and the number of the batch */
async function killedMidway() {
  for (let run = 0; run < TRIES; run++) {
    const service = await startService({ ...data.variables, ...STILL_ORDERS });
    const lost = send(service.url, run).catch(() => undefined);
    const begun = async () => (await stored(service.url, skuOf(run, KILLED_AT))).status === 200;
    await until('the batch is under way', begun, 20_000);
    service.signal('SIGKILL');
    await service.ended();
    await lost;
    await until('its nats-server has ended', async () => (await data.natsPid()) === undefined, 20_000);
    const next = await startService({ ...data.variables, ...STILL_ORDERS });
    if ((await stored(next.url, skuOf(run, COUNT - 1))).status === 404) return { service: next, run };
    await stopService(next);
  }
  throw new Error('the batch was always faster than the kill');
}

it('a batch whose service is killed midway and that is sent again does each item once and answers the same', async () => {
  const { service, run } = await killedMidway();
  const before = await Promise.all([0, 1, KILLED_AT].map((n) => stored(service.url, skuOf(run, n))));

  const items = itemsOf(await send(service.url, run));
  expect(items.map(({ sku, status }) => `${sku} ${status}`)).toEqual(
    productsOf(run).map(({ sku }) => `${sku} 201`),
  );
  expect([0, 1, KILLED_AT].map((n) => items[n]?.version)).toEqual(
    before.map((answer) => answer.field('version')),
  );
  expect(itemsOf(await send(service.url, run))).toEqual(items);
  for (const n of [0, KILLED_AT, COUNT - 1]) {
    const history = await must(200, service.url, 'GET', `/v1/products/${skuOf(run, n)}/events`);
    expect(history.field('items')).toHaveLength(1);
  }

  const receipts = items.map(({ sku }) => ({ sku, receiptId: 'DN-1', quantity: 5 }));
  const key = { 'idempotency-key': 'receipts' };
  const first = await must(200, service.url, 'POST', '/v1/batches/receipts', { receipts }, key);
  const again = await must(200, service.url, 'POST', '/v1/batches/receipts', { receipts }, key);
  expect(again.body).toEqual(first.body);
  expect((await stored(service.url, skuOf(run, 7))).field('onHand')).toBe(5);
  await stopService(service);
}, 240_000);
