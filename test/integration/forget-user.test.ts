import { expect, it } from 'vitest';
import { forgetCommand } from '../../src/cli/personal/forget.ts';
import { rebuildCommand } from '../../src/cli/rebuild.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must, since } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { makeLog, SECRETS, startEncrypted } from '../support/encrypted-service.ts';

const NAME = 'Augusta Byron';
const EMAIL = 'augusta.byron@example.com';
const deliveryAddress = { name: NAME, street: '1 Byron Road', city: 'Nottingham', country: 'GB' };
const PERSONAL = /byron|nottingham/i;
const KEY = { 'idempotency-key': 'one' };

/** Somebody with a name, an order that will not be paid soon, and one that was rejected. */
async function customer(url: string) {
  const created = await must(201, url, 'POST', '/v1/users', { email: EMAIL, name: NAME }, KEY);
  const id = String(created.field('id'));
  await must(201, url, 'POST', '/v1/products', {
    sku: 'TEA',
    name: 'Tea',
    price: { amountMinor: 450, currency: 'EUR' },
  });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 50 });
  const placed = async (token: string) => {
    const order = { userId: id, lines: [{ sku: 'TEA', quantity: 2 }], payment: { token }, deliveryAddress };
    return must(201, url, 'POST', '/v1/orders', order, { prefer: 'wait=10' });
  };
  const open = await placed('tok_never');
  const confirmed = await placed(PAYMENT.token);
  return {
    id,
    path: `/v1/users/${id}`,
    orders: [open, confirmed].map((order) => `/v1/orders/${order.field('id')}`),
  };
}

/** Folds the views anew and compares what they show. */
async function areRebuiltAlike(server: TestServer, url: string, paths: readonly string[]): Promise<void> {
  const shown = () => Promise.all(paths.map(async (one) => (await must(200, url, 'GET', one)).body));
  const before = await shown();
  for (const view of ['users', 'orders'])
    expect((await runInProcess(server, rebuildCommand, [view], SECRETS)).code).toBe(0);
  expect(await shown()).toEqual(before);
}

const untilDone = (url: string, path: string) =>
  until(
    'the person is forgotten',
    async () => (await ask(url, 'GET', `${path}/forgetting`)).field('status') === 'done',
    60_000,
  );

it('whoever is forgotten is shown nowhere any more, while its orders stay to the cent and its address is free', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  await using service = await startEncrypted(server);
  const { url } = service;
  const { id, path, orders } = await customer(url);
  const before = await ask(url, 'GET', `${orders[1]}?consistency=strong`);
  expect(JSON.stringify(before.body)).toMatch(PERSONAL);

  const asked = await ask(url, 'DELETE', path, { reason: `${NAME} asks by letter` });
  expect([asked.status, asked.headers.get('location'), asked.field('status')]).toEqual([
    202,
    `${path}/forgetting`,
    'requested',
  ]);
  await untilDone(url, path);

  expect((await ask(url, 'DELETE', path)).field('status')).toBe('done');
  const gone = { name: 'forgotten', email: 'forgotten', status: 'forgotten' };
  for (const more of ['', '?consistency=strong']) {
    const shown = await must(200, url, 'GET', `${path}${more}`, undefined, since(asked));
    expect(shown.body).toMatchObject({ id, ...gone });
  }
  for (const order of orders) {
    const shown = await must(200, url, 'GET', order, undefined, since(asked));
    expect(shown.body).toMatchObject({
      status: 'cancelled',
      deliveryAddress: { name: 'forgotten' },
      total: { amountMinor: 900 },
    });
  }
  const tellers = [
    `${path}/events`,
    `${path}/orders`,
    '/v1/users',
    `/v1/users?namePrefix=aug`,
    `/v1/orders?user=${id}`,
    `${orders[0]}/events`,
  ];
  for (const teller of tellers) {
    const shown = await must(200, url, 'GET', teller);
    expect(JSON.stringify(shown.body)).not.toMatch(PERSONAL);
  }
  const repeated = await ask(url, 'POST', '/v1/users', { email: EMAIL, name: NAME }, KEY);
  expect(repeated.body).toMatchObject({ id, name: 'forgotten', email: 'forgotten' });
  await areRebuiltAlike(server, url, [path, ...orders]);
  expect((await ask(url, 'PATCH', path, { name: NAME })).field('code')).toBe('user/forgotten');
  expect((await ask(url, 'POST', `${path}/forgetting/call-off`)).field('code')).toBe('user/forgotten');
  await must(201, url, 'POST', '/v1/users', { email: EMAIL, name: 'Ada' });
}, 120_000);

it('within the time of grace it can be called off, and the user is what it was before', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  await using service = await startEncrypted(server, { JETLEDGER_PRIVACY__GRACE_MS: '600000' });
  const { url } = service;
  const created = await must(201, url, 'POST', '/v1/users', { email: EMAIL, name: NAME });
  const path = `/v1/users/${created.field('id')}`;
  expect((await ask(url, 'GET', `${path}/forgetting`)).field('code')).toBe('user/forgetting-not-requested');
  await must(202, url, 'DELETE', path);
  expect((await ask(url, 'GET', `${path}/forgetting`)).body).toMatchObject({
    status: 'requested',
    openOrders: [],
  });
  expect((await ask(url, 'POST', `${path}/reactivate`)).field('code')).toBe('user/forgetting-requested');
  expect((await must(200, url, 'POST', `${path}/forgetting/call-off`)).body).toMatchObject({
    name: NAME,
    status: 'active',
  });
  expect((await ask(url, 'GET', `${path}/forgetting`)).status).toBe(404);
}, 60_000);

it('jetledger forget asks for it and says when it is done, beside a service in other processes', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  await using service = await startEncrypted(server);
  const { url } = service;
  const { id } = await customer(url);
  const run = (...args: string[]) => runInProcess(server, forgetCommand, args, SECRETS);
  const unknown = await run('nobody');
  expect([unknown.code, unknown.text]).toEqual([1, 'There is no such user; register first.']);
  const { code, json } = await run(id, '--reason', 'asked by letter', '--wait', '--json');
  expect(code).toBe(0);
  expect(json()).toMatchObject({ userId: id, status: 'done' });
}, 120_000);

it('where texts are stored in plain nobody is forgotten, and the answer says what to do', async () => {
  await using server = await startTestServer();
  const variables = { JETLEDGER_PRIVACY__ENCRYPT: 'off' };
  await makeLog(server, variables);
  await using service = await startEncrypted(server, variables);
  const created = await must(201, service.url, 'POST', '/v1/users', { email: EMAIL, name: NAME });
  const refused = await ask(service.url, 'DELETE', `/v1/users/${created.field('id')}`);
  expect([refused.status, refused.field('code')]).toEqual([409, 'user/not-encrypted']);
  expect(String(refused.field('detail'))).toMatch(/--encrypt/);
}, 60_000);
