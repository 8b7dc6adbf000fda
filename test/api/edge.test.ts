import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repeatedName } from '../../src/api/body.ts';
import { buildHealthApp } from '../../src/api/health-app.ts';
import { type MemoryService, memoryService, TEST_SETTINGS } from '../support/memory-service.ts';
import { clientOf, confirmedOrder, field, list, registered } from './requests.ts';

let service: MemoryService;
let port: number;

beforeAll(async () => {
  service = await memoryService();
  await service.app.listen({ host: '127.0.0.1', port: 0 });
  port = (service.app.server.address() as AddressInfo).port;
});
afterAll(async () => service[Symbol.asyncDispose]());

const USER = '{"email":"ada@example.com","name":"Ada"}';

/** Registers a user with a body as it stands. */
function post(body: string | Buffer, headers: Record<string, string> = {}) {
  const payload = typeof body === 'string' ? Buffer.from(body) : body;
  const type = { 'content-type': 'application/json' };
  return service.app.inject({ method: 'POST', url: '/v1/users', headers: { ...type, ...headers }, payload });
}

/** Sends the head of a request as it stands. */
async function raw(first: string, lines: readonly string[], body = '') {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
  });
  socket.write([`${first} HTTP/1.1`, ...lines, 'Connection: close', '', body].join('\r\n'), 'latin1');
  await once(socket, 'close');
  const [head = '', answer = ''] = received.split('\r\n\r\n', 2);
  const type = /^content-type: (\S+?);/im.exec(head)?.[1];
  return { status: Number(head.slice(9, 12)), head, type, answer };
}

describe('a body', () => {
  it.each(['iso-8859-1', 'utf-16', '"ISO-8859-1"', 'utf-8; charset=latin1'])(
    'of the charset %s is 415',
    async (charset) => {
      const response = await post(USER, { 'content-type': `application/json; charset=${charset}` });
      expect([response.statusCode, field(response, 'code')]).toEqual([415, 'request/unsupported-media-type']);
    },
  );

  it.each([[['61', 'ff']], [['ed', 'a0', '80']], [['fc']], [['c0', '80']]])(
    'with the bytes %s, which are not UTF-8, is 400 and stores nothing',
    async (bytes) => {
      const before = await service.log.head();
      const name = Buffer.from(bytes.join(''), 'hex');
      const response = await post(
        Buffer.concat([Buffer.from('{"email":"j@example.com","name":"J'), name, Buffer.from('"}')]),
      );
      expect([response.statusCode, field(response, 'code')]).toEqual([400, 'request/malformed-json']);
      expect(await service.log.head()).toBe(before);
    },
  );

  it.each(['gzip', 'identity, gzip', 'br', 'x'])('with Content-Encoding: %s is 415', async (encoding) => {
    const response = await post(USER, { 'content-encoding': encoding });
    expect([response.statusCode, field(response, 'detail')]).toEqual([
      415,
      'Send the body without Content-Encoding.',
    ]);
  });

  it('in UTF-8, said in any way, is read as it is', async () => {
    const types = [
      'application/json; charset=utf-8',
      'application/json;charset="UTF-8"',
      'application/json; v=1',
    ];
    for (const [index, type] of types.entries()) {
      const headers = { 'content-type': type, 'content-encoding': 'identity' };
      const response = await post(`{"email":"u${index}@example.com","name":"Jürgen 😀"}`, headers);
      expect([response.statusCode, field(response, 'name')]).toEqual([201, 'Jürgen 😀']);
    }
  });

  it.each([
    ['{"email":"a@example.com","name":"A","name":"B"}', '/name'],
    ['{"email":"a@example.com","name":"A","n\\u0061me":"A"}', '/name'],
    ['{"x":{"list":[1,{"a/b~":1,"a/b~":1}]}}', '/x/list/1/a~1b~0'],
    ['{"a":"\\":","b":[],"a":{}}', '/a'],
  ])('that names a field twice, %s, is 400 with a pointer to it', async (body, pointer) => {
    const response = await post(body);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({
      code: 'request/invalid',
      errors: [{ in: 'body', pointer, detail: 'stands more than once in its object; send it once' }],
    });
  });

  it('that names no field twice is never refused for it, whatever its texts hold', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(repeatedName(text, JSON.parse(text))).toBeUndefined();
        // The same once more, with a name that is there already.
        const twice = `[{"~:":${text},"b":":,","~:":0}]`;
        expect(repeatedName(twice, JSON.parse(twice))).toBe('/0/~0:');
      }),
    );
    const deep = `${'[{"a":'.repeat(10_000)}":"${'}]'.repeat(10_000)}`;
    expect(repeatedName(deep, JSON.parse(deep))).toBeUndefined();
  });

  it('that is empty is none: where none is needed it may be said to be JSON', async () => {
    const client = clientOf(service);
    const userId = await registered(client, 'empty@example.com');
    await list(client, 'TEA');
    const orderId = await confirmedOrder(service, client, userId, 'TEA');
    for (const [action, status] of [
      ['ship', 'shipped'],
      ['deliver', 'delivered'],
    ]) {
      const response = await service.app.inject({
        method: 'POST',
        url: `/v1/orders/${orderId}/${action}`,
        headers: { 'content-type': 'application/json' },
      });
      expect([response.statusCode, field(response, 'status')]).toEqual([200, status]);
    }
  });
});

describe('headers', () => {
  const length = `Content-Length: ${USER.length}`;
  it.each([
    ['Idempotency-Key', 'k1', 'K1'],
    ['Idempotency-Key', 'k1', 'k1'],
    ['If-Match', '"1"', '"1"'],
    ['Content-Type', 'application/json', 'application/json'],
    ['Authorization', 'Bearer a', 'Bearer b'],
    ['Host', 'a.example.com', 'b.example.com'],
    ['Min-Position', '1', '1'],
    ['Last-Event-ID', '1', '1'],
    ['X-Request-Id', 'a', 'b'],
    ['Origin', 'https://a.example.com', 'https://b.example.com'],
    ['traceparent', '00-a', '00-b'],
  ])('a %s that stands twice is 400 and named', async (name, one, other) => {
    const before = await service.log.head();
    const host = name === 'Host' ? [] : ['Host: a'];
    const type = name === 'Content-Type' ? [] : ['Content-Type: application/json'];
    const lines = [...host, ...type, length, `${name}: ${one}`, `${name.toUpperCase()}: ${other}`];
    const { status, type: answered, answer } = await raw('POST /v1/users', lines, USER);
    expect([status, answered]).toEqual([400, 'application/problem+json']);
    expect(JSON.parse(answer)).toMatchObject({
      code: 'request/invalid',
      errors: [{ in: 'header', pointer: `/${name.toLowerCase()}` }],
    });
    expect(await service.log.head()).toBe(before);
  });

  it('that are lists may stand twice', async () => {
    const lists = ['Accept', 'Prefer', 'If-None-Match', 'tracestate', 'Cookie', 'X-Anything'];
    const lines = lists.flatMap((name) => [`${name}: a=1`, `${name}: b=1`]);
    expect((await raw('GET /v1/products', ['Host: a', ...lines])).status).toBe(200);
  });

  it.each([
    ['none at all', [], '/host'],
    ['one that is none', ['Host: a/b@c'], '/host'],
  ])('of the host, %s, is 400 with a problem', async (_name, lines, pointer) => {
    const { status, type, answer } = await raw('GET /health/live', lines);
    expect([status, type]).toEqual([400, 'application/problem+json']);
    expect(JSON.parse(answer)).toMatchObject({ errors: [{ in: 'header', pointer }] });
  });

  it.each(['localhost:3000', '[::1]:3000', '192.0.2.1', 'shop_1.example.com.', ''])(
    'of the host %j are taken',
    async (host) => {
      expect((await raw('GET /health/live', [`Host: ${host}`])).status).toBe(200);
    },
  );

  it('of a client that speaks HTTP/1.0 need not name the host', async () => {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1');
    socket.write('GET /health/live HTTP/1.0\r\n\r\n');
    const [answer] = await once(socket, 'data');
    expect(answer).toMatch(/^HTTP\/1\.[01] 200 /);
    socket.destroy();
  });

  it('with an expectation that nobody meets are 417 with a problem, 100-continue is met', async () => {
    const { status, type, answer } = await raw('GET /health/live', ['Host: a', 'Expect: tea']);
    expect([status, type]).toEqual([417, 'application/problem+json']);
    expect(JSON.parse(answer)).toMatchObject({ code: 'request/expectation-failed' });
    const lines = ['Host: a', 'Content-Type: application/json', length, 'Expect: 100-continue'];
    expect((await raw('POST /v1/users', lines, USER)).answer).toMatch(/^HTTP\/1\.1 201 /);
  });

  it('are looked at where only health is answered, too', async () => {
    const { health, runtime } = service.deps;
    const parts = { health, runtime, settings: TEST_SETTINGS, logger: false, roles: ['views'] } as const;
    const app = buildHealthApp(parts);
    const response = await app.inject({ url: '/health/live', headers: { host: 'a/b' } });
    expect([response.statusCode, field(response, 'code')]).toEqual([400, 'request/invalid']);
    await app.close();
  });
});

describe('a method that a route lacks', () => {
  it.each([
    ['QUERY', '/v1/products', {}, ''],
    ['QUERY', '/v1/products', { 'content-type': 'application/sql' }, 'SELECT 1'],
    ['PUT', '/v1/products', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, '{"a'],
    ['DELETE', '/v1/products', { authorization: 'nonsense', expect: 'tea' }, ''],
  ])('%s %s is 405 before anything else is looked at', async (method, url, headers, payload) => {
    const auth = { verify: async () => ({ outcome: 'unavailable' }) as const };
    const settings = { ...TEST_SETTINGS, rateLimit: { max: 1, windowMs: 60_000 } };
    await using busy = await memoryService({ override: { auth, settings } });
    for (let i = 0; i < 3; i++) {
      const request = { method: method as 'PUT', url, headers, ...(payload && { payload }) };
      const response = await busy.app.inject(request);
      expect([response.statusCode, response.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
      expect(response.headers['x-frame-options']).toBe('DENY');
    }
  });

  it('is CONNECT for all of them, and is answered', async () => {
    const { status, type } = await raw('CONNECT shop.example.com:443', ['Host: shop.example.com:443']);
    expect([status, type]).toEqual([400, 'application/problem+json']);
  });
});

describe('a time', () => {
  it.each([
    '2027-02-30T00:00:00Z',
    '2026-11-31T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:00%2B24:00',
  ])('that there is not, %s, is 400', async (at) => {
    const response = await service.app.inject({ url: `/v1/orders/a?at=${at}` });
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ errors: [{ in: 'query', pointer: '/at' }] });
  });

  it('that there is, is looked up', async () => {
    const response = await service.app.inject({ url: '/v1/orders/a?at=2028-02-29T23:59:59.5-01:30' });
    expect([response.statusCode, field(response, 'code')]).toEqual([404, 'order/not-found']);
  });
});

it('the trace of a later version is gone on with, in version 00', async () => {
  const ids = `${'ab'.repeat(16)}-${'cd'.repeat(8)}`;
  const traceparent = `cc-${ids}-01-what-comes-later`;
  const response = await service.app.inject({ url: '/v1/products', headers: { traceparent } });
  expect(response.headers.traceparent).toBe(`00-${ids}-01`);
});

describe('names', () => {
  it.each(['\u200b', '\u00ad', '\u2060\u200d', '\u2800', '\u3164', '\u202eevil', 'a\u2066b\u2069'])(
    'that show nothing or turn the writing, %j, are 422',
    async (name) => {
      const response = await post(JSON.stringify({ email: 'n@example.com', name }));
      expect([response.statusCode, field(response, 'code')]).toEqual([422, 'user/invalid-name']);
    },
  );

  it('are found by how they begin, whatever the case', async () => {
    const client = clientOf(service);
    for (const [index, name] of ['ΣΊΣΥΦΟΣ', 'Straße', 'Éclair'].entries()) {
      const price = { amountMinor: 100, currency: 'EUR' };
      await client.post('/v1/products', { sku: `FOLD-${index}`, name, price });
    }
    const found = async (prefix: string) => {
      const response = await client.get(`/v1/products?namePrefix=${encodeURIComponent(prefix)}`);
      return response.json<{ items: { name: string }[] }>().items.map(({ name }) => name);
    };
    for (const prefix of ['ΣΊΣ', 'σίς', 'σίσυ']) expect(await found(prefix)).toEqual(['ΣΊΣΥΦΟΣ']);
    for (const prefix of ['STRASSE', 'straß', 'STRA']) expect(await found(prefix)).toEqual(['Straße']);
    expect(await found('E\u0301CL')).toEqual(['Éclair']);
    expect(await found('TRASSE')).toEqual([]);
  });
});
