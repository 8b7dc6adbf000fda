import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CommitTooLarge,
  DeadlineExceeded,
  LogUnavailable,
  OutcomeUnknown,
  PermissionDenied,
  QueueFull,
  UnknownEventType,
} from '../../src/eventstore/errors.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { ViewBehind } from '../../src/projections/engine/reading.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, field, list, registered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeAll(async () => {
  service = await memoryService();
  client = clientOf(service);
  await list(client, 'TEA');
});
afterAll(async () => service[Symbol.asyncDispose]());

const JSON_TYPE = { 'content-type': 'application/json' };
const USER = { email: 'x@example.com', name: 'X' };

const CASES: readonly [string, InjectOptions, number, string][] = [
  [
    'malformed JSON',
    { method: 'POST', url: '/v1/users', headers: JSON_TYPE, payload: '{"email":' },
    400,
    'request/malformed-json',
  ],
  [
    'an empty JSON body',
    { method: 'POST', url: '/v1/users', headers: JSON_TYPE, payload: '' },
    400,
    'request/invalid',
  ],
  [
    'a prototype key',
    { method: 'POST', url: '/v1/users', headers: JSON_TYPE, payload: '{"__proto__":{"a":1}}' },
    400,
    'request/malformed-json',
  ],
  ['no body at all', { method: 'POST', url: '/v1/users' }, 400, 'request/invalid'],
  [
    'a body that is too large',
    { method: 'POST', url: '/v1/users', payload: { ...USER, name: 'x'.repeat(70_000) } },
    413,
    'request/too-large',
  ],
  [
    'another media type',
    { method: 'POST', url: '/v1/users', headers: { 'content-type': 'text/plain' }, payload: 'hi' },
    415,
    'request/unsupported-media-type',
  ],
  ['an unknown route', { method: 'GET', url: '/v1/nothing' }, 404, 'route/not-found'],
  ['a path with broken percent-encoding', { method: 'GET', url: '/v1/users/%zz' }, 400, 'request/malformed'],
  ['an id with a wildcard', { method: 'GET', url: '/v1/users/*' }, 400, 'request/invalid'],
  ['a very long id', { method: 'GET', url: `/v1/users/${'a'.repeat(2_000)}` }, 400, 'request/invalid'],
  ['an unknown query parameter', { method: 'GET', url: '/v1/users/a?minPositon=1' }, 400, 'request/invalid'],
  ['a limit out of range', { method: 'GET', url: '/v1/products?limit=201' }, 400, 'request/invalid'],
  ['a limit that is no integer', { method: 'GET', url: '/v1/products?limit=1e2' }, 400, 'request/invalid'],
  [
    'filters for which there is no list',
    { method: 'GET', url: '/v1/orders?user=ada&sku=TEA-1' },
    400,
    'request/no-such-list',
  ],
  ['totals without a currency', { method: 'GET', url: '/v1/orders?totalMin=100' }, 400, 'request/invalid'],
  [
    'a time that there is not',
    { method: 'GET', url: '/v1/orders?placedFrom=2026-02-30T00:00Z' },
    400,
    'request/invalid',
  ],
  [
    'an address beside a filter',
    { method: 'GET', url: '/v1/users?email=a@example.com&status=active' },
    400,
    'request/invalid',
  ],
  [
    'a day that there is not',
    { method: 'GET', url: '/v1/statistics?from=2026-02-30&to=2026-03-01' },
    400,
    'request/invalid-period',
  ],
  [
    'a period that is too long',
    { method: 'GET', url: '/v1/statistics?from=2024-01-01&to=2026-03-01' },
    400,
    'request/invalid-period',
  ],
  [
    'two points in time',
    { method: 'GET', url: '/v1/orders/a?version=1&at=2026-01-01T00:00:00Z' },
    400,
    'request/invalid',
  ],
  [
    'a time that there is not',
    { method: 'GET', url: '/v1/orders/a?at=2026-13-01T00:00:00Z' },
    400,
    'request/invalid',
  ],
  ['the past of an unknown order', { method: 'GET', url: '/v1/orders/a?version=7' }, 404, 'order/not-found'],
  [
    'a strong read of nothing',
    { method: 'GET', url: '/v1/products/NO?consistency=strong' },
    404,
    'product/not-found',
  ],
  [
    'a redrive of nothing in particular',
    { method: 'POST', url: '/v1/admin/parked/redrive', payload: {} },
    400,
    'request/invalid',
  ],
  [
    'a commit that is not parked',
    { method: 'GET', url: '/v1/admin/parked/order-process/order/a/1' },
    404,
    'parked/not-found',
  ],
  [
    'a pause of nobody',
    { method: 'POST', url: '/v1/admin/consumers/nobody/pause' },
    404,
    'consumer/not-found',
  ],
  ['a foreign cursor', { method: 'GET', url: '/v1/products?cursor=zzz' }, 400, 'request/invalid-cursor'],
  [
    'an invalid If-Match',
    { method: 'PATCH', url: '/v1/products/TEA', headers: { 'if-match': 'W/"1"' }, payload: { name: 'a' } },
    400,
    'request/invalid',
  ],
  [
    'an invalid Idempotency-Key',
    { method: 'POST', url: '/v1/users', headers: { 'idempotency-key': 'ü' }, payload: USER },
    400,
    'request/invalid',
  ],
  [
    'a name of blanks',
    { method: 'POST', url: '/v1/users', payload: { ...USER, name: '  ' } },
    422,
    'user/invalid-name',
  ],
  [
    'a lone surrogate in a name',
    {
      method: 'POST',
      url: '/v1/users',
      headers: JSON_TYPE,
      payload: '{"email":"x@example.com","name":"\\ud800"}',
    },
    422,
    'user/invalid-name',
  ],
  [
    'an unknown user',
    { method: 'PATCH', url: '/v1/users/none', payload: { name: 'a' } },
    404,
    'user/not-found',
  ],
  ['an unknown row', { method: 'GET', url: '/v1/orders/none' }, 404, 'order/not-found'],
  ['an unknown history', { method: 'GET', url: '/v1/orders/none/events' }, 404, 'order/not-found'],
  [
    'a position that is not reached',
    { method: 'GET', url: '/v1/products/TEA', headers: { 'min-position': '999', prefer: 'wait=0' } },
    504,
    'view/behind',
  ],
];

it.each(CASES)('%s is answered with its problem', async (_name, request, status, code) => {
  const response = await service.app.inject(request);
  expect([response.statusCode, field(response, 'code')]).toEqual([status, code]);
  expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  expect(response.json()).toMatchObject({ type: `urn:jetledger:problem:${code}`, status });
  expect(field(response, 'requestId')).toBe(response.headers['x-request-id']);
});

it('an invalid body names each field that is wrong by its pointer', async () => {
  const lines = [
    { sku: 'TEA', quantity: '2' },
    { sku: 'tea', quantity: 1, price: 0 },
  ];
  const response = await client.post('/v1/orders', { userId: 'u1', lines, coupon: 'x' });
  expect(response.json<{ errors: object[] }>().errors).toEqual(
    expect.arrayContaining([
      { in: 'body', pointer: '/coupon', detail: 'is not a known field; remove it' },
      { in: 'body', pointer: '/lines/0/quantity', detail: 'must be integer' },
      { in: 'body', pointer: '/lines/1/price', detail: 'is not a known field; remove it' },
      expect.objectContaining({ in: 'body', pointer: '/lines/1/sku' }),
    ]),
  );
});

it.each([
  ['PUT', '/v1/users/a', 'DELETE, GET, HEAD, PATCH'],
  ['DELETE', '/v1/users', 'GET, HEAD, POST'],
  ['GET', '/v1/admin/parked/redrive', 'POST'],
  ['OPTIONS', '/v1/products', 'GET, HEAD, POST'],
  ['DELETE', '/v1/orders/a/events?limit=1', 'GET, HEAD'],
  ['PROPFIND', '/v1/products/A', 'GET, HEAD, PATCH'],
] as const)('%s %s is 405 with Allow: %s', async (method, url, allow) => {
  const response = await service.app.inject({ method: method as 'GET', url });
  expect([response.statusCode, response.headers.allow]).toEqual([405, allow]);
  expect(field(response, 'code')).toBe('route/method-not-allowed');
});

describe('faults of the infrastructure', () => {
  it.each([
    [new LogUnavailable('test'), 503, 'log/unavailable', '1'],
    [new OutcomeUnknown('jl.user.0.0.0.secret-id', 500), 503, 'log/outcome-unknown', '1'],
    [
      new PermissionDenied('publish', 'jl.user.0.0.0.secret-id', 'the user secret'),
      ...([500, 'log/permission-denied', undefined] as const),
    ],
    [new DeadlineExceeded('a command', 5), 503, 'command/deadline', '1'],
    [new QueueFull('user/a', 5), 503, 'command/queue-full', '1'],
    [new CommitTooLarge('jl.user.0.0.0.secret-id', 5, 4), 413, 'commit/too-large', undefined],
    [new UnknownEventType('user', 'Secret', 1), 500, 'internal', undefined],
    [new Error('secret text'), 500, 'internal', undefined],
  ])('%s is answered without its text', async (fault, status, code, retryAfter) => {
    const refuse = () => Promise.reject(fault);
    const handler = { ...service.deps.handler, execute: refuse };
    await using failing = await memoryService({ override: { handler } });
    const response = await clientOf(failing).patch('/v1/users/a', { name: 'b' });
    expect([response.statusCode, field(response, 'code')]).toEqual([status, code]);
    expect(response.headers['retry-after']).toBe(retryAfter);
    expect(response.body).not.toMatch(/secret/i);
  });

  it('a view that is behind says how far', async () => {
    const row = () => Promise.reject(new ViewBehind('users', positionOf(50), positionOf(42)));
    await using behind = await memoryService({
      override: { views: { ...service.deps.views, row } },
    });
    const response = await clientOf(behind).get('/v1/users/a');
    expect([response.statusCode, field(response, 'lag'), response.headers['retry-after']]).toEqual([
      504,
      8,
      '1',
    ]);
  });

  it('Prefer: wait and Min-Position reach the read model, the wait bounded to 10 s', async () => {
    const asked: unknown[] = [];
    const row = async (_view: unknown, _id: string, options: unknown) => void asked.push(options);
    await using spied = await memoryService({
      override: {
        views: {
          ...service.deps.views,
          row: async (...a) => row(...(a as [unknown, string, unknown])) as never,
        },
      },
    });
    const spying = clientOf(spied);
    const waited = await spying.get('/v1/users/a', { prefer: 'wait=60', 'min-position': '7' });
    await spying.get('/v1/users/a?minPosition=8', { prefer: 'respond-async, wait=3', 'min-position': '8' });
    await spied.app.inject({ method: 'GET', url: '/v1/users/a', headers: { prefer: 'wait=soon' } });
    expect(asked).toEqual([{ minPosition: 7, waitMs: 10_000 }, { minPosition: 8, waitMs: 3_000 }, {}]);
    asked.length = 0;
    // Alone it asks for everything that is stored by now.
    await registered(spying, 'prefer@example.com');
    for (const prefer of ['wait=2', 'wait=0'])
      await spied.app.inject({ method: 'GET', url: '/v1/users/a', headers: { prefer } });
    expect(await spied.log.head()).toBe(2);
    expect(asked).toEqual([{ minPosition: 2, waitMs: 2_000 }, { waitMs: 0 }]);
    expect(waited.headers['preference-applied']).toBe('wait=10');
  });
});

describe('If-Match', () => {
  it('a change of the current version is made, of an older one refused with 412 and the current version', async () => {
    const userId = await registered(client, 'match@example.com');
    const etag = String((await client.get(`/v1/users/${userId}`)).headers.etag);
    const changed = await client.patch(`/v1/users/${userId}`, { name: 'B' }, { 'if-match': etag });
    expect(changed.statusCode).toBe(200);
    const stale = await client.patch(`/v1/users/${userId}`, { name: 'C' }, { 'if-match': etag });
    expect([stale.statusCode, field(stale, 'code')]).toEqual([412, 'command/version-mismatch']);
    expect(field(stale, 'currentVersion')).toBe(field(changed, 'version'));
    expect(stale.headers.etag).toBe(changed.headers.etag);
  });

  it('a conflict without If-Match is 409', async () => {
    const conflict = { outcome: 'conflict', category: 'user', id: 'a', expected: 'any', actual: 3 } as const;
    const handler = { ...service.deps.handler, execute: async () => conflict };
    await using busy = await memoryService({ override: { handler } });
    const response = await clientOf(busy).patch('/v1/users/a', { name: 'b' });
    expect([response.statusCode, field(response, 'code')]).toEqual([409, 'command/conflict']);
  });
});
