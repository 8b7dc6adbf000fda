import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { webhook } from '../../src/domain/webhook.ts';
import { toBytes } from '../../src/processes/engine/rows.ts';
import { type MemoryService, memoryService, TEST_EPOCH } from '../support/memory-service.ts';

let service: MemoryService;
beforeAll(async () => {
  service = await memoryService();
});
afterAll(() => service[Symbol.asyncDispose]());

const post = (url: string, payload: object = {}, headers: Record<string, string> = {}) =>
  service.app.inject({ method: 'POST', url, payload, headers });
const get = (url: string) => service.app.inject({ method: 'GET', url });

interface Answer {
  readonly id: string;
  readonly secret: string;
  readonly version: number;
  readonly waiting: number;
}

const BODY = { url: 'https://parcels.example.com/events', types: ['jetledger.public.orders.v1.*'] };

describe('webhooks for operators', () => {
  it('are all of them or those of a status, each with how far it is by its stored place', async () => {
    const head = async () => ({ 'min-position': String(await service.log.head()) });
    const kept = (await post('/v1/webhooks', BODY)).json<Answer>().id;
    const off = (await post('/v1/webhooks', { ...BODY, url: 'https://off.example.com/' })).json<Answer>().id;
    await post(`/v1/webhooks/${off}/disable`, { reason: 'they move' });
    const bucket = await service.buckets.create('jl_deliveries', { durable: true });
    const open = [[7, 'o1', 3, TEST_EPOCH, TEST_EPOCH]];
    const place = { takenAt: TEST_EPOCH, failures: 3, pausedUntil: 0, sources: { s: { high: 9, open } } };
    await bucket.write({ key: `receiver.${kept}`, value: toBytes(place), expectedRevision: 0 });
    // The list of today's webhooks is there once it is shown.
    await service.app.inject({ method: 'GET', url: '/v1/webhooks', headers: await head() });
    const found = async (query: string) =>
      (await get(`/v1/admin/webhooks?${query}`)).json<{ items: { id: string }[]; next?: string }>();
    const { items, next } = await found('limit=1');
    expect([items.map(({ id }) => id), typeof next]).toEqual([[off], 'string']);
    expect((await found(`limit=1&cursor=${next}`)).items).toMatchObject([
      { id: kept, status: 'enabled', open: 1, retrying: 1, attempts: 3, unread: 0 },
    ]);
    expect((await found('status=disabled')).items).toMatchObject([
      { id: off, status: 'disabled', cause: 'operator', reason: 'they move', open: 0 },
    ]);
  });
});

describe('a webhook over HTTP', () => {
  it.each([
    ['http://parcels.example.com/events', 'it is not https'],
    ['https://10.0.0.1/events', 'its address may not be dialled'],
    ['https://0x7f000001/events', 'its address may not be dialled'],
    ['https://[::ffff:169.254.169.254]/events', 'its address may not be dialled'],
  ])('is neither made for nor changed to %s, where nothing is ever sent', async (url, why) => {
    const { id } = (await post('/v1/webhooks', BODY)).json<Answer>();
    const made = await post('/v1/webhooks', { ...BODY, url });
    const changed = await service.app.inject({
      method: 'PATCH',
      url: `/v1/webhooks/${id}`,
      payload: { url },
    });
    for (const refused of [made, changed]) {
      expect(refused.statusCode).toBe(400);
      const [error] = refused.json<{ errors: { pointer: string; detail: string }[] }>().errors;
      expect(error).toMatchObject({ pointer: '/url', detail: expect.stringContaining(why) });
    }
  });

  it('tells its secret to whoever creates it, again under the same key, and nowhere else', async () => {
    const key = { 'idempotency-key': 'webhook-1' };
    const first = await post('/v1/webhooks', BODY, key);
    expect(first.statusCode).toBe(201);
    const { id, secret } = first.json<Answer>();
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect((await post('/v1/webhooks', BODY, key)).json<Answer>()).toMatchObject({ id, secret });
    for (const url of [
      `/v1/webhooks/${id}?consistency=strong`,
      `/v1/webhooks/${id}/events`,
      '/v1/webhooks',
    ]) {
      const { body } = await get(url);
      expect(body).not.toContain(secret.slice(6));
    }
    const { body } = await get(`/v1/webhooks/${id}/events`);
    expect(body).toContain('WebhookCreated');
    expect(body).not.toContain('"secretId":"0');
  });

  it('gets another secret by rotation, and the answer says until when the one before holds', async () => {
    const { id, secret } = (await post('/v1/webhooks', BODY)).json<Answer>();
    const rotated = await post(`/v1/webhooks/${id}/secret`, { overlapHours: 1 });
    expect(rotated.json<Answer>().secret).not.toBe(secret);
    expect(rotated.json()).toHaveProperty('previousSecretUntil');
  });

  it('is refused for types of events that nobody has, with those that there are', async () => {
    const refused = await post('/v1/webhooks', { ...BODY, types: ['*', 'order.*', 'jetledger.public.Typo'] });
    expect(refused.statusCode).toBe(400);
    const { code, errors } = refused.json<{ code: string; errors: { pointer: string; detail: string }[] }>();
    expect([code, errors[0]?.pointer]).toEqual(['request/invalid', '/types']);
    expect(errors[0]?.detail).toContain('no event is of the type order.* or jetledger.public.Typo;');
    expect(errors[0]?.detail).toContain('jetledger.public.orders.v1.OrderConfirmed');
  });

  it('stays what it is where it was made for such types before that was refused', async () => {
    const id = 'made-before';
    const terms = { url: BODY.url, types: ['order.*'], subjects: [], description: '', ordered: false };
    const made = { type: 'create', webhookId: id, secretId: 's1', ...terms, at: TEST_EPOCH } as const;
    await service.deps.handler.execute(webhook, id, made, { commandId: 'c1', actor: 'test' });
    expect((await get(`/v1/webhooks/${id}?consistency=strong`)).json()).toMatchObject({ types: ['order.*'] });
    const url = `/v1/webhooks/${id}`;
    const changed = await service.app.inject({ method: 'PATCH', url, payload: { description: 'theirs' } });
    expect(changed.json()).toMatchObject({ types: ['order.*'], description: 'theirs' });
  });

  it('is changed under If-Match only where nobody has changed it before', async () => {
    const { id, version } = (await post('/v1/webhooks', BODY)).json<Answer>();
    const change = (description: string) =>
      service.app.inject({
        method: 'PATCH',
        url: `/v1/webhooks/${id}`,
        payload: { description },
        headers: { 'if-match': `"${version}"` },
      });
    expect((await change('one')).statusCode).toBe(200);
    expect((await change('two')).statusCode).toBe(412);
  });

  it.each([
    [{ event: 'e1', since: '2026-01-01T00:00:00Z' }],
    [{ event: 'e1', until: '2026-01-01T00:00:00Z' }],
    [{ until: '2026-01-01T00:00:00Z' }],
    [{ since: 'yesterday' }],
  ])('refuses the redelivery %j, which says two things or none', async (payload) => {
    const { id } = (await post('/v1/webhooks', BODY)).json<Answer>();
    expect((await post(`/v1/webhooks/${id}/redeliveries`, payload)).statusCode).toBe(400);
  });

  it('counts the tests and redeliveries that wait, and is no more once it is removed', async () => {
    const { id } = (await post('/v1/webhooks', BODY)).json<Answer>();
    await post(`/v1/webhooks/${id}/test`);
    const since = '2026-01-01T00:00:00Z';
    const two = await post(`/v1/webhooks/${id}/redeliveries`, { since });
    expect(two.json<Answer>().waiting).toBe(2);
    expect((await post(`/v1/webhooks/${id}/remove`)).json()).toMatchObject({ id, status: 'removed' });
    expect((await get(`/v1/webhooks/${id}?consistency=strong`)).statusCode).toBe(404);
  });
});
