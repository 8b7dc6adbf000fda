import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { fixedRuntime, type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, confirmedOrder, field, list, ordered, registered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
  await list(client, 'TEA');
});
afterEach(async () => service[Symbol.asyncDispose]());

const idsOf = (response: Awaited<ReturnType<Client['get']>>) =>
  response.json<{ items: { id: string }[] }>().items.map(({ id }) => id);

describe('lists', () => {
  it('orders are listed by status, newest first, in pages that Link joins', async () => {
    const placed = [];
    for (let i = 0; i < 3; i++) placed.unshift(await ordered(client, 'u1', 'TEA'));
    const confirmed = await confirmedOrder(service, client, 'u1', 'TEA');
    expect(idsOf(await client.get('/v1/orders?status=confirmed'))).toEqual([confirmed]);
    const first = await client.get('/v1/orders?status=placed&limit=2');
    expect(idsOf(first)).toEqual(placed.slice(0, 2));
    const link = /^<([^>]+)>; rel="next"$/.exec(String(first.headers.link))?.[1] ?? '';
    expect(idsOf(await client.get(link))).toEqual(placed.slice(2));
    const foreign = await client.get(`/v1/orders?status=confirmed&cursor=${field(first, 'next')}`);
    expect([foreign.statusCode, field(foreign, 'code')]).toEqual([400, 'request/invalid-cursor']);
  });

  it('products are found by the beginning of their name, whatever the case', async () => {
    for (const sku of ['CUP', 'CAN']) await list(client, sku);
    const found = await client.get('/v1/products?namePrefix=PRODUCT%20c');
    const skus = found.json<{ items: { sku: string }[] }>().items.map(({ sku }) => sku);
    expect(skus).toEqual(['CAN', 'CUP']);
  });

  it('statistics tell orders and revenue per day and currency', async () => {
    await confirmedOrder(service, client, 'u1', 'TEA');
    const response = await client.get('/v1/statistics?from=2026-01-14&to=2026-01-16');
    const euros = (amountMinor: number) => ({ amountMinor, currency: 'EUR' });
    const amounts = { placed: euros(2580), captured: euros(2580), refunded: euros(0) };
    const before = { placedMinor: '2580', capturedMinor: '2580', refundedMinor: '0' };
    const figures = { ordersPlaced: 1, ...before, ...amounts };
    expect(response.json()).toEqual({
      days: [
        {
          day: '2026-01-15',
          currencies: [{ currency: 'EUR', ...figures }],
          ordersConfirmed: 1,
          ordersCancelled: 0,
          rejections: {},
        },
      ],
    });
  });
});

describe('time travel', () => {
  it('an order is shown as it was at a version, at a position between two, and at a time', async () => {
    const id = await ordered(client, 'u1', 'TEA');
    const placed = Number.parseInt(String((await client.get(`/v1/orders/${id}`)).headers.position), 10);
    await list(client, 'CUP');
    const cancelled = await client.post(`/v1/orders/${id}/cancel`);
    const then = await client.get(`/v1/orders/${id}?version=${placed + 1}`);
    expect(then.json()).toMatchObject({ id, status: 'placed', version: placed, position: placed });
    expect(then.headers.etag).toBe(`"${placed}"`);
    const now = await client.get(`/v1/orders/${id}?version=${field(cancelled, 'version')}`);
    expect(now.json()).toEqual(cancelled.json());
    const { items } = (await client.get(`/v1/orders/${id}/events`)).json<{ items: { time: string }[] }>();
    const at = (index: number) => client.get(`/v1/orders/${id}?at=${items[index]?.time}`);
    expect([field(await at(0), 'status'), field(await at(1), 'status')]).toEqual(['placed', 'cancelled']);
  });

  it('before it existed an order is not found', async () => {
    const id = await ordered(client, 'u1', 'TEA');
    for (const query of ['version=1', 'at=2026-01-15T09:00:00Z']) {
      const response = await client.get(`/v1/orders/${id}?${query}`);
      expect([query, response.statusCode]).toEqual([query, 404]);
    }
  });

  it('parameters that contradict each other are each named', async () => {
    const url = '/v1/orders/a?version=1&at=2026-01-15T09:00:00Z&consistency=strong';
    const errors = field(await service.app.inject(url), 'errors');
    expect(errors).toEqual([
      { in: 'query', pointer: '/version', detail: 'cannot be combined with at and consistency' },
      { in: 'query', pointer: '/at', detail: 'cannot be combined with version and consistency' },
      { in: 'query', pointer: '/consistency', detail: 'cannot be combined with version and at' },
    ]);
  });
});

describe('a strong read', () => {
  it('shows what the last command answered, without the read models', async () => {
    const away = () => Promise.reject(new LogUnavailable('views'));
    const views = { ...service.deps.views, row: away };
    await using alone = await memoryService({ override: { views } });
    const lone = clientOf(alone);
    const userId = await registered(lone);
    const renamed = await lone.patch(`/v1/users/${userId}`, { name: 'Ada King' });
    const user = await alone.app.inject(`/v1/users/${userId}?consistency=strong`);
    expect([user.json(), user.headers.etag]).toEqual([renamed.json(), renamed.headers.etag]);
    const listed = await list(lone, 'TEA');
    const product = await alone.app.inject('/v1/products/TEA?consistency=strong');
    expect([product.json(), product.headers.position]).toEqual([listed.json(), listed.headers.position]);
    const placed = await lone.post('/v1/orders', { userId, lines: [{ sku: 'TEA', quantity: 1 }] });
    const shown = await alone.app.inject(`${placed.headers.location}?consistency=strong`);
    expect(shown.json()).toEqual(placed.json());
  });
});

describe('If-None-Match', () => {
  it('a known version is answered with 304 and no body, another one with what it is', async () => {
    const id = await ordered(client, 'u1', 'TEA');
    const etag = String((await client.get(`/v1/orders/${id}`)).headers.etag);
    for (const url of [`/v1/orders/${id}`, `/v1/orders/${id}?consistency=strong`]) {
      for (const known of [etag, `"1", W/${etag}`, '*']) {
        const response = await client.get(url, { 'if-none-match': known });
        expect([response.statusCode, response.body, response.headers.etag]).toEqual([304, '', etag]);
      }
      const other = await client.get(url, { 'if-none-match': '"1", nonsense' });
      expect(other.statusCode).toBe(200);
    }
    await client.post(`/v1/orders/${id}/cancel`);
    const changed = await client.get(`/v1/orders/${id}`, { 'if-none-match': etag });
    expect([changed.statusCode, field(changed, 'status')]).toEqual([200, 'cancelled']);
  });
});

describe('placing with Prefer: wait', () => {
  const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }] };
  const reject = {
    type: 'reject',
    step: 'customer_validation',
    code: 'customer/unknown',
    reason: 'There is no such customer.',
    at: 1,
  } as const;

  it('answers with how the order ended, and says that it waited', async () => {
    const { handler, live } = service.deps;
    /** The process rejects the order while the client waits. */
    const watched: typeof live = {
      ...live,
      order: async (id, after) => {
        const opening = await live.order(id, after);
        await handler.execute(order, id, reject, { commandId: 'r', actor: 'order-process' });
        return opening;
      },
    };
    await using waiting = await memoryService({ override: { ...service.deps, live: watched } });
    const response = await clientOf(waiting).post('/v1/orders', body, { prefer: 'wait=99' });
    expect([response.statusCode, response.headers['preference-applied']]).toEqual([201, 'wait=10']);
    const { step, code, reason: text } = reject;
    expect(response.json()).toMatchObject({ status: 'rejected', step, reason: { code, text } });
    expect(response.headers.etag).toBe(`"${numberOf(await service.log.head())}"`);
  });

  it('answers with the placed order when it does not end in time, cannot be looked at, or the wait is 0', async () => {
    const live = { ...service.deps.live, order: () => Promise.reject(new LogUnavailable('looking')) };
    await using blind = await memoryService({ override: { ...service.deps, live } });
    for (const [where, prefer] of [
      [client, 'wait=1'],
      [client, 'wait=0'],
      [clientOf(blind), 'wait=5'],
    ] as const) {
      const response = await where.post('/v1/orders', body, { prefer });
      expect([response.statusCode, field(response, 'status')]).toEqual([201, 'placed']);
      expect(response.headers['preference-applied']).toBeUndefined();
    }
  });

  it('ends when the service stops', async () => {
    const runtime = { ...fixedRuntime(), now: () => 0, sleep: systemRuntime.sleep };
    const stopping = await memoryService({ override: { ...service.deps, runtime } });
    const asked = clientOf(stopping).post('/v1/orders', body, { prefer: 'wait=10' });
    await new Promise((resolve) => setImmediate(resolve));
    await stopping[Symbol.asyncDispose]();
    expect((await asked).statusCode).toBe(201);
  });
});
