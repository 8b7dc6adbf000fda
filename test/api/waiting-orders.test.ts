import { expect, it } from 'vitest';
import { ORDER_PROCESS } from '../../src/api/routes/orders.ts';
import { order } from '../../src/domain/order.ts';
import { LogUnavailable } from '../../src/eventstore/index.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { orderProcess } from '../../src/processes/order/order-process.ts';
import { fixedRuntime, memoryService } from '../support/memory-service.ts';
import { plantParked } from './planted.ts';
import { clientOf, confirmedOrder, list, ordered } from './requests.ts';

it('a placed order whose event is a dead letter says that it waits for an operator, also to who has its version', async () => {
  // Dead letters are looked at once a second.
  const clock = fixedRuntime();
  let seconds = 0;
  const runtime = { ...clock, now: () => clock.now() + 1_000 * seconds };
  await using service = await memoryService({ override: { runtime } });
  const client = clientOf(service);
  await list(client, 'TEA');
  const id = await ordered(client, 'u1', 'TEA');
  const paths = [`/v1/orders/${id}`, `/v1/orders/${id}?consistency=strong`];
  for (const path of paths) {
    const answer = await client.get(path);
    expect(answer.json()).toMatchObject({ status: 'placed', step: 'customer_validation' });
    expect(answer.json()).not.toHaveProperty('waitsFor');
  }
  const etag = String((await client.get(`/v1/orders/${id}`)).headers.etag);
  const [, version = ''] = /^"(\d+)"$/.exec(etag) ?? [];
  await plantParked(service, { id, position: positionOf(Number(version)) });
  seconds++;
  for (const path of paths) {
    for (const headers of [{}, { 'if-none-match': etag }]) {
      const answer = await client.get(path, headers);
      expect(answer.statusCode).toBe(200);
      expect(answer.headers.etag).toBe(etag);
      expect(answer.json()).toMatchObject({
        id,
        status: 'placed',
        step: 'customer_validation',
        waitsFor: 'operator',
      });
    }
  }
  const past = await client.get(`/v1/orders/${id}?version=${version}`);
  expect(past.json()).not.toHaveProperty('waitsFor');
  const confirmed = await confirmedOrder(service, client, 'u1', 'TEA');
  const shown = await client.get(`/v1/orders/${confirmed}`);
  const [, last = ''] = /^"(\d+)"$/.exec(String(shown.headers.etag)) ?? [];
  await plantParked(service, { id: confirmed, position: positionOf(Number(last)) });
  seconds++;
  expect((await client.get(`/v1/orders/${confirmed}`)).json()).not.toHaveProperty('waitsFor');
});

it('a refunded order that cannot be repaid says that it waits for an operator, until it is', async () => {
  const clock = fixedRuntime();
  let seconds = 0;
  const runtime = { ...clock, now: () => clock.now() + 1_000 * seconds };
  await using service = await memoryService({ override: { runtime } });
  const client = clientOf(service);
  await list(client, 'TEA');
  const id = await confirmedOrder(service, client, 'u1', 'TEA');
  await client.post(`/v1/orders/${id}/refund`, { reason: 'Lost', restock: false });
  const paths = [`/v1/orders/${id}`, `/v1/orders/${id}?consistency=strong`];
  const waiting = async () =>
    Promise.all(paths.map(async (path) => (await client.get(path)).json<{ waitsFor?: string }>().waitsFor));
  expect(await waiting()).toEqual([undefined, undefined]);
  await plantParked(service, { id, position: await service.log.head() });
  // What became of the stock does not hide it.
  const meta = { commandId: 'settled', actor: 'order-process' };
  await service.deps.handler.execute(order, id, { type: 'recordStockReleased', at: 1 }, meta);
  seconds++;
  expect(await waiting()).toEqual(['operator', 'operator']);
  const money = { paymentId: 'pay-1', amountMinor: 2580n, currency: 'EUR' };
  const repaid = { type: 'recordPaymentRefunded', ...money, at: 1 } as const;
  await service.deps.handler.execute(order, id, repaid, { ...meta, commandId: 'repaid' });
  expect(await waiting()).toEqual([undefined, undefined]);
});

it('an order is shown without it while dead letters cannot be read', async () => {
  await using service = await memoryService();
  const { admin } = service.deps;
  admin.parked.list = () => Promise.reject(new LogUnavailable('away'));
  const client = clientOf(service);
  await list(client, 'TEA');
  const answer = await client.get(`/v1/orders/${await ordered(client, 'u1', 'TEA')}`);
  expect([answer.statusCode, answer.json()]).toMatchObject([200, { status: 'placed' }]);
});

it('an order is shown without it, soon, while dead letters give no answer', async () => {
  await using service = await memoryService();
  service.deps.admin.parked.list = () => new Promise(() => undefined);
  const client = clientOf(service);
  await list(client, 'TEA');
  const answer = await client.get(`/v1/orders/${await ordered(client, 'u1', 'TEA')}`);
  expect([answer.statusCode, answer.json()]).toMatchObject([200, { status: 'placed' }]);
});

it('the order process is asked for by the name that it has', () => {
  expect(orderProcess.name).toBe(ORDER_PROCESS);
});
