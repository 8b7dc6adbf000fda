import type { LightMyRequestResponse } from 'fastify';
import { describe, expect, it } from 'vitest';
import type { ApiSettings, AppDeps } from '../../src/api/deps.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { createTokenVerifier } from '../../src/platform/tokens.ts';
import { type MemoryService, memoryService, TEST_SETTINGS } from '../support/memory-service.ts';
import { clientOf, field, list, registered } from './requests.ts';
import { bearer, jwkSetOf, NOW, signingKey, tokenOf, VERIFIER } from './tokens.ts';

function serviceWith(settings: Partial<ApiSettings>, more: Partial<AppDeps> = {}): Promise<MemoryService> {
  return memoryService({ override: { settings: { ...TEST_SETTINGS, ...settings }, ...more } });
}

const outcome = (answer: LightMyRequestResponse) => [answer.statusCode, field(answer, 'code')];

describe('an operator that demands Idempotency-Key', () => {
  it('has a POST without it refused by the name of the header, and nothing else', async () => {
    await using service = await serviceWith({ requireIdempotencyKey: true });
    const client = clientOf(service);
    const body = { email: 'ada@example.com', name: 'Ada' };
    const without = await client.post('/v1/users', body);
    expect(outcome(without)).toEqual([400, 'idempotency/key-required']);
    expect(field(without, 'errors')).toEqual([
      { in: 'header', pointer: '/idempotency-key', detail: 'is required' },
    ]);
    expect((await client.post('/v1/users', body, { 'idempotency-key': 'k' })).statusCode).toBe(201);
    const id = await registered(client);
    expect((await client.patch(`/v1/users/${id}`, { name: 'B' })).statusCode).not.toBe(400);
    const redrive = await client.post('/v1/admin/parked/redrive', { all: true });
    expect(redrive.statusCode).toBe(200);
  });
});

describe('an operator that demands If-Match', () => {
  it('has a change without it refused with 428, and a creation left alone', async () => {
    await using service = await serviceWith({ requireIfMatch: true });
    const client = clientOf(service);
    const id = await registered(client);
    const without = await client.patch(`/v1/users/${id}`, { name: 'B' });
    expect(outcome(without)).toEqual([428, 'command/precondition-required']);
    expect(outcome(await client.post(`/v1/users/${id}/deactivate`))).toEqual([
      428,
      'command/precondition-required',
    ]);
    const etag = String((await client.get(`/v1/users/${id}`)).headers.etag);
    expect((await client.patch(`/v1/users/${id}`, { name: 'B' }, { 'if-match': etag })).statusCode).toBe(200);
  });
});

describe('the pace of a client', () => {
  const rateLimit = { max: 3, windowMs: 60_000 };

  it('is limited by address where nobody is known: 429 says how long to wait; health and docs are free', async () => {
    await using service = await serviceWith({ rateLimit });
    const ask = (remoteAddress: string, url = '/v1/products') => service.app.inject({ url, remoteAddress });
    for (const left of ['2', '1', '0']) {
      const answer = await ask('192.0.2.1');
      expect([answer.statusCode, answer.headers['ratelimit-remaining']]).toEqual([200, left]);
    }
    const refused = await ask('192.0.2.1');
    expect(outcome(refused)).toEqual([429, 'request/rate-limited']);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(50);
    expect(refused.headers).toMatchObject({ 'ratelimit-limit': '3', 'ratelimit-remaining': '0' });
    expect((await ask('192.0.2.1', '/nothing')).statusCode).toBe(429);
    expect((await ask('192.0.2.2')).statusCode).toBe(200);
    for (let i = 0; i < 5; i++) {
      for (const url of ['/health/live', '/health/ready', '/health/startup', '/openapi.json']) {
        expect((await ask('192.0.2.1', url)).statusCode).toBe(200);
      }
    }
  });

  it('counts a whole IPv6 network as one, and believes a proxy only where it is told to', async () => {
    await using service = await serviceWith({ rateLimit, trustProxy: '10.0.0.0/8' });
    const ask = async (remoteAddress: string, forwarded?: string) => {
      const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
      return (await service.app.inject({ url: '/v1/products', remoteAddress, headers })).statusCode;
    };
    for (const last of [1, 2, 3]) expect(await ask(`2001:db8::${last}`)).toBe(200);
    expect(await ask('2001:db8::4')).toBe(429);
    expect(await ask('2001:db8:0:1::1')).toBe(200);
    for (const client of [1, 2, 3, 4, 5]) expect(await ask('10.0.0.1', `198.51.100.${client}`)).toBe(200);
    for (const client of [1, 2, 3]) expect(await ask('192.0.2.9', `198.51.100.${client}`)).toBe(200);
    expect(await ask('192.0.2.9', '198.51.100.9')).toBe(429);
  });

  it('is limited by user where a token tells who it is; those without a valid one are counted too', async () => {
    const key = await signingKey('k1');
    const { createLocalJWKSet } = await import('jose');
    const keys = createLocalJWKSet(await jwkSetOf(key));
    const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
    await using service = await serviceWith({ rateLimit }, { auth });
    const ask = async (sub: string, remoteAddress: string) => {
      const headers = bearer(await tokenOf(key, { sub, scope: 'orders' }));
      return (await service.app.inject({ url: '/v1/products', headers, remoteAddress })).statusCode;
    };
    for (const host of [1, 2, 3]) expect(await ask('ada', `192.0.2.${host}`)).toBe(200);
    expect(await ask('ada', '192.0.2.4')).toBe(429);
    expect(await ask('bob', '192.0.2.1')).toBe(200);
    const nobody = () =>
      service.app.inject({ url: '/v1/products', headers: bearer('x'), remoteAddress: '192.0.2.9' });
    for (let i = 0; i < 3; i++) expect((await nobody()).statusCode).toBe(401);
    expect((await nobody()).statusCode).toBe(429);
  });
});

describe('how often a user may name an address', () => {
  it('has a limit of its own, since the answer tells whether somebody else has it; admins have none', async () => {
    const key = await signingKey('k1');
    const { createLocalJWKSet } = await import('jose');
    const keys = createLocalJWKSet(await jwkSetOf(key));
    const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
    await using service = await serviceWith({ addressLimit: { max: 3, windowMs: 60_000 } }, { auth });
    const client = clientOf(service);
    const as = async (sub: string, scope = 'users') => bearer(await tokenOf(key, { sub, scope }));
    const [ada, bob, root] = [await as('ada'), await as('bob'), await as('root', 'admin')];
    const body = (email: string) => ({ email: `${email}@example.com`, name: 'Any' });
    expect((await client.post('/v1/users', body('bob'), bob)).statusCode).toBe(201);
    expect(outcome(await client.post('/v1/users', body('bob'), ada))).toEqual([409, 'user/email-taken']);
    expect((await client.post('/v1/users', body('ada'), ada)).statusCode).toBe(201);
    const tried = await client.post('/v1/users/ada/email', { email: 'bob@example.com' }, ada);
    expect(outcome(tried)).toEqual([409, 'user/email-taken']);
    for (const url of ['/v1/users/ada/email', '/v1/users']) {
      const refused = await client.post(url, body('eve'), ada);
      expect(outcome(refused)).toEqual([429, 'request/rate-limited']);
      expect(refused.headers).toMatchObject({ 'ratelimit-limit': '3', 'ratelimit-remaining': '0' });
    }
    expect((await client.get('/v1/users/ada', ada)).statusCode).toBe(200);
    expect((await client.post('/v1/users/bob/email', { email: 'b@example.com' }, bob)).statusCode).toBe(200);
    for (const n of [1, 2, 3, 4])
      expect((await client.post('/v1/users', body(`u${n}`), root)).statusCode).toBe(201);
  });
});

describe('an overloaded service', () => {
  it('answers 503 with Retry-After before anything is done, and health all the same', async () => {
    let delay = 0;
    const overload = { maxEventLoopDelayMs: 100 };
    await using service = await serviceWith({ overload }, { eventLoopDelayMs: () => delay });
    const client = clientOf(service);
    await list(client, 'TEA');
    delay = 101;
    const head = await service.log.head();
    const refused = await list(client, 'CUP');
    expect(outcome(refused)).toEqual([503, 'service/overloaded']);
    expect(refused.headers['retry-after']).toBe('1');
    expect(await service.log.head()).toBe(head);
    expect((await client.get('/health/live')).statusCode).toBe(200);
    delay = 100;
    expect((await list(client, 'CUP')).statusCode).toBe(201);
  });

  it('notices by itself that its event loop is late', async () => {
    await using service = await serviceWith({ overload: { maxEventLoopDelayMs: 20 } });
    const ask = async () => (await service.app.inject('/v1/products')).statusCode;
    const end = performance.now() + 10_000;
    let status = await ask();
    while (status === 200 && performance.now() < end) {
      const busy = performance.now() + 150;
      while (performance.now() < busy);
      await new Promise((resolve) => setImmediate(resolve));
      status = await ask();
    }
    expect(status).toBe(503);
  });
});

describe('browsers', () => {
  it('are told to run nothing of the answers, and what to run of the documentation', async () => {
    await using service = await serviceWith({ hstsSeconds: 60 });
    for (const url of ['/v1/products', '/nothing', '/openapi.json', '/health/live']) {
      expect((await service.app.inject(url)).headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'strict-transport-security': 'max-age=60; includeSubDomains',
      });
    }
    const docs = await service.app.inject('/docs/');
    expect(docs.headers['content-security-policy']).toMatch(/script-src 'self'/);
    await using plain = await serviceWith({ securityHeaders: false });
    expect((await plain.app.inject('/v1/products')).headers).not.toHaveProperty('x-frame-options');
  });

  it('of other origins may call only where they are named, also with a token, and read why they are refused', async () => {
    const auth = { verify: async () => ({ outcome: 'refused', why: 'It is.' }) as const };
    await using service = await serviceWith({ cors: { origins: 'https://shop.example.com' } }, { auth });
    const from = (origin: string, method: 'OPTIONS' | 'GET', url = '/v1/products') =>
      service.app.inject({
        method,
        url,
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization',
        },
      });
    const preflight = await from('https://shop.example.com', 'OPTIONS');
    expect(preflight.statusCode).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example.com',
      'access-control-allow-headers': 'authorization',
      'access-control-allow-methods': 'GET, HEAD, POST, PATCH',
    });
    const refused = await from('https://shop.example.com', 'GET');
    expect(refused.statusCode).toBe(401);
    expect(refused.headers['access-control-allow-origin']).toBe('https://shop.example.com');
    expect(refused.headers['access-control-allow-credentials']).toBeUndefined();
    const other = await from('https://evil.example.com', 'GET');
    expect(other.headers).not.toHaveProperty('access-control-allow-origin');
    expect((await from('https://shop.example.com', 'GET', '/nothing')).statusCode).toBe(404);
    await using closed = await serviceWith({});
    const none = await closed.app.inject({
      url: '/v1/products',
      headers: { origin: 'https://a.example.com' },
    });
    expect(none.headers).not.toHaveProperty('access-control-allow-origin');
  });
});

describe('idempotency', () => {
  it('of a listing counts per SKU: another content is refused, another SKU is another listing', async () => {
    await using service = await serviceWith({});
    const client = clientOf(service);
    const listed = (sku: string, amountMinor: number) =>
      client.post(
        '/v1/products',
        { sku, name: 'Tea', price: { amountMinor, currency: 'EUR' } },
        { 'idempotency-key': 'k' },
      );
    const first = await listed('TEA', 100);
    expect((await listed('TEA', 100)).body).toBe(first.body);
    expect(outcome(await listed('TEA', 200))).toEqual([422, 'idempotency/key-reused']);
    expect((await listed('CUP', 100)).statusCode).toBe(201);
  });

  it('of 200 equal orders at once is one order and one answer', async () => {
    await using service = await serviceWith({});
    const client = clientOf(service);
    await list(client, 'TEA');
    const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }] };
    const before = await service.log.head();
    const all = Array.from({ length: 200 }, () =>
      client.post('/v1/orders', body, { 'idempotency-key': 'k' }),
    );
    const answers = await Promise.all(all);
    expect(new Set(answers.map(({ statusCode, body: text }) => `${statusCode} ${text}`)).size).toBe(1);
    expect(await service.log.head()).toBe(numberOf(before) + 1);
  });
});
