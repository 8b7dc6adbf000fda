import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { users } from '../../src/projections/views/users.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, confirmedOrder, field, list, ordered, registered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

describe('users', () => {
  it('registering answers 201 with Location, ETag, Position and the user', async () => {
    const response = await client.post('/v1/users', { email: ' Ada@Example.com ', name: 'Ada' });
    expect(response.statusCode).toBe(201);
    const userId = String(field(response, 'id'));
    expect(response.headers.location).toBe(`/v1/users/${userId}`);
    const version = Number.parseInt(String(response.headers.position), 10);
    expect(response.headers.etag).toBe(`"${version}"`);
    expect(response.json()).toEqual({
      id: userId,
      email: 'ada@example.com',
      name: 'Ada',
      status: 'active',
      version,
      position: version,
    });
  });

  it('a user is shown with the bytes and the position of its row', async () => {
    const userId = await registered(client);
    const response = await client.get(`/v1/users/${userId}`);
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    const row = await service.deps.views.row(users, userId);
    expect(response.rawPayload.equals(row?.json ?? Buffer.alloc(0))).toBe(true);
    expect(response.headers.etag).toBe(`"${numberOf(row?.position ?? BEGINNING)}"`);
  });

  it('renaming, deactivating and reactivating each answer the state after the command', async () => {
    const userId = await registered(client);
    expect(field(await client.patch(`/v1/users/${userId}`, { name: 'Ada King' }), 'name')).toBe('Ada King');
    const left = await client.post(`/v1/users/${userId}/deactivate`, { reason: 'Asked to' });
    expect([left.statusCode, field(left, 'status')]).toEqual([200, 'deactivated']);
    const back = await client.post(`/v1/users/${userId}/reactivate`);
    expect([back.statusCode, field(back, 'status')]).toEqual([200, 'active']);
  });

  it('changing the address frees the old one for others', async () => {
    const userId = await registered(client, 'old@example.com');
    const changed = await client.post(`/v1/users/${userId}/email`, { email: 'new@example.com' });
    expect([changed.statusCode, field(changed, 'email')]).toEqual([200, 'new@example.com']);
    const other = await client.post('/v1/users', { email: 'old@example.com', name: 'Bob' });
    expect(other.statusCode).toBe(201);
  });

  it("a user's orders are listed newest first", async () => {
    const userId = await registered(client);
    await list(client, 'TEA');
    const first = await ordered(client, userId, 'TEA');
    const second = await ordered(client, userId, 'TEA');
    const response = await client.get(`/v1/users/${userId}/orders`);
    const { items } = response.json<{ items: { id: string }[] }>();
    expect(items.map(({ id }) => id)).toEqual([second, first]);
    expect(response.headers.link).toBeUndefined();
  });
});

describe('products', () => {
  it('listing answers 201; the same listing again changes nothing and answers 200; another one 409', async () => {
    const first = await list(client, 'TEA');
    expect([first.statusCode, first.headers.location]).toEqual([201, '/v1/products/TEA']);
    const again = await list(client, 'TEA');
    expect([again.statusCode, again.headers.etag]).toEqual([200, first.headers.etag]);
    const other = await list(client, 'TEA', { amountMinor: 1, currency: 'EUR' });
    expect([other.statusCode, field(other, 'code')]).toEqual([409, 'product/exists']);
  });

  it('stock counts once per receipt', async () => {
    await list(client, 'TEA');
    const receive = (quantity: number) =>
      client.post('/v1/products/TEA/stock', { receiptId: 'DN-1', quantity });
    expect(field(await receive(5), 'onHand')).toBe(5);
    expect(field(await receive(5), 'onHand')).toBe(5);
    const other = await receive(6);
    expect([other.statusCode, field(other, 'details')]).toEqual([409, { quantity: 5 }]);
    expect(field(await client.get('/v1/products/TEA'), 'onHand')).toBe(5);
  });

  it('stock is corrected once per correction, and not below what orders were promised', async () => {
    await list(client, 'TEA');
    await client.post('/v1/products/TEA/stock', { receiptId: 'DN-1', quantity: 5 });
    const correct = (correctionId: string, kind: string, quantity: number) =>
      client.post('/v1/products/TEA/corrections', { correctionId, kind, quantity, reason: 'Stocktaking' });
    expect(field(await correct('C-1', 'loss', 2), 'onHand')).toBe(3);
    expect(field(await correct('C-1', 'loss', 2), 'onHand')).toBe(3);
    expect(field(await correct('C-2', 'count', 7), 'onHand')).toBe(7);
    const tooMany = await correct('C-3', 'loss', 8);
    expect([tooMany.statusCode, field(tooMany, 'details')]).toEqual([409, { reserved: 0 }]);
    expect(field(await client.get('/v1/products/TEA'), 'onHand')).toBe(7);
  });

  it('a PATCH of several fields is one commit', async () => {
    await list(client, 'TEA');
    const before = await service.log.head();
    const patch = { name: 'Tea', price: { amountMinor: 990 }, discontinued: true };
    const response = await client.patch('/v1/products/TEA', patch);
    expect(response.json()).toMatchObject({
      name: 'Tea',
      price: { amountMinor: 990, currency: 'EUR' },
      status: 'discontinued',
    });
    expect(await service.log.head()).toBe(numberOf(before) + 1);
  });

  it('a price may name its currency, which is that of the listing', async () => {
    await list(client, 'TEA');
    const priced = (currency: string) =>
      client.patch('/v1/products/TEA', { price: { amountMinor: 990, currency } });
    expect(field(await priced('EUR'), 'price')).toEqual({ amountMinor: 990, currency: 'EUR' });
    const other = await priced('USD');
    expect([other.statusCode, field(other, 'code')]).toEqual([422, 'product/invalid-price']);
  });

  it('pages follow each other through next and Link until the last one', async () => {
    for (const sku of ['C', 'A', 'B']) await list(client, sku);
    const skus: string[] = [];
    let url: string | undefined = '/v1/products?limit=2';
    while (url !== undefined) {
      const page: Awaited<ReturnType<Client['get']>> = await client.get(url);
      skus.push(...page.json<{ items: { sku: string }[] }>().items.map(({ sku }) => sku));
      url = /^<([^>]+)>; rel="next"$/.exec(String(page.headers.link))?.[1];
      expect(field(page, 'next') !== undefined).toBe(url !== undefined);
    }
    expect(skus).toEqual(['A', 'B', 'C']);
  });
});

describe('orders', () => {
  it('placing looks the prices up and answers the total', async () => {
    await list(client, 'TEA');
    const lines = [{ sku: 'TEA', quantity: 3 }];
    const response = await client.post('/v1/orders', { userId: 'u1', lines });
    expect(response.statusCode).toBe(201);
    expect(response.json()).toMatchObject({
      userId: 'u1',
      status: 'placed',
      lines,
      total: { amountMinor: 3870, currency: 'EUR' },
    });
    const shown = await client.get(String(response.headers.location));
    expect(field(shown, 'total')).toEqual({ amountMinor: 3870, currency: 'EUR' });
  });

  it('an unknown product is refused with its SKU', async () => {
    const response = await client.post('/v1/orders', { userId: 'u1', lines: [{ sku: 'NO', quantity: 1 }] });
    expect(response.statusCode).toBe(422);
    expect(response.json()).toMatchObject({ code: 'order/unknown-product', details: { sku: 'NO' } });
  });

  it('cancelling works once and changes nothing the second time, with and without a reason', async () => {
    await list(client, 'TEA');
    const orderId = await ordered(client, 'u1', 'TEA');
    const first = await client.post(`/v1/orders/${orderId}/cancel`, { reason: 'Too late' });
    expect([first.statusCode, field(first, 'status')]).toEqual([200, 'cancelled']);
    const again = await client.post(`/v1/orders/${orderId}/cancel`);
    expect([again.statusCode, field(again, 'version')]).toEqual([200, field(first, 'version')]);
  });

  it('a way to pay can be given; a confirmed order is shipped, then delivered, and shows its timeline', async () => {
    await list(client, 'TEA');
    const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }], payment: { token: 'tok_1' } };
    expect((await client.post('/v1/orders', body)).statusCode).toBe(201);
    const id = await confirmedOrder(service, client, 'u1', 'TEA');
    const early = await client.post(`/v1/orders/${id}/deliver`);
    expect([early.statusCode, field(early, 'code')]).toEqual([409, 'order/not-shipped']);
    const shipped = await client.post(`/v1/orders/${id}/ship`, { tracking: 'T-1' });
    expect([shipped.statusCode, field(shipped, 'status')]).toEqual([200, 'shipped']);
    const late = await client.post(`/v1/orders/${id}/cancel`);
    expect([late.statusCode, field(late, 'code')]).toEqual([409, 'order/already-shipped']);
    expect(field(await client.post(`/v1/orders/${id}/deliver`), 'status')).toBe('delivered');
    const shown = (await client.get(`/v1/orders/${id}`)).json<{ timeline: { type: string }[] }>();
    expect(shown).toMatchObject({
      status: 'delivered',
      tracking: 'T-1',
      payment: { status: 'captured', id: 'pay-1' },
    });
    expect(shown.timeline.map(({ type }) => type)).toEqual([
      'OrderPlaced',
      'CustomerValidated',
      'OrderStockReserved',
      'PaymentAuthorised',
      'PaymentCaptured',
      'OrderConfirmed',
      'OrderShipped',
      'OrderDelivered',
    ]);
  });

  it('an order is refunded once, with what becomes of its goods, and shows why and whether it was repaid', async () => {
    await list(client, 'TEA');
    const early = await client.post(`/v1/orders/${await ordered(client, 'u1', 'TEA')}/refund`, {
      reason: 'Lost',
      restock: true,
    });
    expect([early.statusCode, field(early, 'code')]).toEqual([409, 'order/not-refundable']);
    const id = await confirmedOrder(service, client, 'u1', 'TEA');
    const refund = (body: object) => client.post(`/v1/orders/${id}/refund`, body);
    expect((await refund({ reason: 'Lost' })).statusCode).toBe(400);
    const granted = await refund({ reason: 'Lost', restock: false });
    expect([granted.statusCode, field(granted, 'status')]).toEqual([200, 'refunded']);
    const again = await refund({ reason: 'Lost, as I said', restock: false });
    expect([again.statusCode, again.headers.etag]).toEqual([200, granted.headers.etag]);
    const other = await refund({ reason: 'Lost', restock: true });
    expect([other.statusCode, field(other, 'code')]).toEqual([409, 'order/already-refunded']);
    const shown = await client.get(`/v1/orders/${id}`);
    expect(shown.json()).toMatchObject({
      status: 'refunded',
      reason: { code: 'refunded', text: 'Lost' },
      payment: { status: 'captured' },
    });
    const listed = await client.get('/v1/orders?status=refunded');
    expect(listed.json<{ items: { id: string }[] }>().items.map((one) => one.id)).toEqual([id]);
  });

  it('what the client says of an order is shown with it, by commands, the read model and from the log', async () => {
    await list(client, 'TEA');
    const details = {
      externalReference: 'PO-42',
      deliveryAddress: { name: 'Ada', street: 'St 1', city: 'London', country: 'GB' },
      metadata: { channel: 'web' },
    };
    const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }], ...details };
    const placed = await client.post('/v1/orders', body);
    expect(placed.json()).toMatchObject(details);
    const path = String(placed.headers.location);
    expect((await client.get(path)).json()).toMatchObject(details);
    expect((await client.get(`${path}?consistency=strong`)).json()).toMatchObject(details);
    const refusalOf = async (more: object) => {
      const response = await client.post('/v1/orders', { ...body, ...more });
      return [
        response.statusCode,
        field(response, 'code'),
        field(response, 'errors') ?? field(response, 'details'),
      ];
    };
    expect(await refusalOf({ metadata: { '1': 'x' } })).toMatchObject([
      400,
      'request/invalid',
      [{ in: 'body' }],
    ]);
    const address = { ...details.deliveryAddress, street: ' ' };
    expect(await refusalOf({ deliveryAddress: address })).toEqual([
      422,
      'order/invalid-address',
      { field: 'street' },
    ]);
  });

  it('a rejected order shows the step, a code and a sentence, and cannot be cancelled', async () => {
    await list(client, 'TEA');
    const id = await ordered(client, 'u1', 'TEA');
    const reject = {
      type: 'reject',
      step: 'customer_validation',
      code: 'customer/unknown',
      reason: 'There is no such customer.',
      at: 1,
    } as const;
    await service.deps.handler.execute(order, id, reject, { commandId: 'r', actor: 'order-process' });
    expect((await client.get(`/v1/orders/${id}`)).json()).toMatchObject({
      status: 'rejected',
      step: 'customer_validation',
      reason: { code: 'customer/unknown', text: 'There is no such customer.' },
    });
    const cancelled = await client.post(`/v1/orders/${id}/cancel`);
    expect([cancelled.statusCode, field(cancelled, 'code')]).toEqual([409, 'order/already-rejected']);
  });

  it('the history tells each event with time, actor, trace and payload, in pages of commits', async () => {
    await list(client, 'TEA');
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const traced = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-request-id': 'req-1' };
    const placed = await client.post(
      '/v1/orders',
      { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }] },
      traced,
    );
    const path = `${placed.headers.location}/events`;
    await client.post(`${placed.headers.location}/cancel`, { reason: 'No' });
    const first = await client.get(`${path}?limit=1`);
    expect(first.json()).toMatchObject({
      items: [
        {
          position: field(placed, 'position'),
          type: 'OrderPlaced',
          actor: 'anonymous',
          correlationId: 'req-1',
          traceId,
          payload: { userId: 'u1', totalMinor: '1290' },
        },
      ],
      next: field(placed, 'position'),
    });
    const link = /^<([^>]+)>/.exec(String(first.headers.link))?.[1] ?? '';
    const second = await client.get(link);
    expect(second.json<{ items: { type: string }[] }>().items.map(({ type }) => type)).toEqual([
      'OrderCancelled',
    ]);
    expect(second.headers.link).toBeUndefined();
  });
});

describe('health and documents', () => {
  it('liveness and readiness answer 200, readiness 503 with every check when one fails', async () => {
    expect((await client.get('/health/live')).json()).toMatchObject({ status: 'live', environment: 'test' });
    expect((await client.get('/health/ready')).statusCode).toBe(200);
    const readiness = { ok: false, checks: { log: { ok: false, detail: 'away' }, views: { ok: true } } };
    const health = { ready: async () => readiness, startup: async () => readiness };
    await using failing = await memoryService({ override: { health } });
    for (const path of ['/health/ready', '/health/startup']) {
      const response = await failing.app.inject(path);
      expect([response.statusCode, response.json()]).toEqual([503, readiness]);
    }
  });

  it('the root leads to the documentation, as a page for browsers and as JSON for programs', async () => {
    const json = await client.get('/');
    expect(json.json()).toMatchObject({ name: 'JetLedger', links: { documentation: '/docs' } });
    for (const link of Object.values(json.json<{ links: Record<string, string> }>().links))
      expect([link, (await client.get(link)).statusCode]).toEqual([link, 200]);
    const page = await client.get('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' });
    expect(page.headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', vary: 'Accept' });
    expect(page.body).toContain('<a href="/docs">');
  });

  it('the documentation page is served', async () => {
    const response = await client.get('/docs');
    expect([response.statusCode, response.headers['content-type']]).toEqual([
      200,
      'text/html; charset=utf-8',
    ]);
  });
});
