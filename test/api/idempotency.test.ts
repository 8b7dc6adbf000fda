import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildApp } from '../../src/api/app.ts';
import { fingerprintOf } from '../../src/api/meta.ts';
import { user } from '../../src/domain/user.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, field, list, registered } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

const KEY = { 'idempotency-key': 'key-1' };

it('the same key and body answer the same user again and store nothing more', async () => {
  const body = { email: 'ada@example.com', name: 'Ada' };
  const first = await client.post('/v1/users', body, KEY);
  const head = await service.log.head();
  const again = await client.post('/v1/users', { name: 'Ada', email: 'ada@example.com' }, KEY);
  expect(again.statusCode).toBe(201);
  expect(again.body).toBe(first.body);
  expect(again.headers.location).toBe(first.headers.location);
  expect(await service.log.head()).toBe(head);
});

it('the same key with another body is refused with 422', async () => {
  await list(client, 'TEA');
  const order = (quantity: number) =>
    client.post('/v1/orders', { userId: 'u1', lines: [{ sku: 'TEA', quantity }] }, KEY);
  expect((await order(1)).statusCode).toBe(201);
  const other = await order(2);
  expect([other.statusCode, field(other, 'code')]).toEqual([422, 'idempotency/key-reused']);
});

it('twenty equal orders at once are one order', async () => {
  await list(client, 'TEA');
  const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }] };
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.post('/v1/orders', body, KEY)));
  expect(new Set(answers.map((answer) => answer.body)).size).toBe(1);
  const listed = await client.get('/v1/users/u1/orders');
  expect(listed.json<{ items: unknown[] }>().items).toHaveLength(1);
});

it('one key on two routes is two keys', async () => {
  await list(client, 'TEA');
  const user = await client.post('/v1/users', { email: 'ada@example.com', name: 'Ada' }, KEY);
  const order = await client.post('/v1/orders', { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }] }, KEY);
  expect([user.statusCode, order.statusCode]).toEqual([201, 201]);
  expect(field(user, 'id')).not.toBe(field(order, 'id'));
});

it('an action with a key takes effect once, and the same key with another reason is refused', async () => {
  const userId = await registered(client);
  const leave = (reason: string) => client.post(`/v1/users/${userId}/deactivate`, { reason }, KEY);
  const first = await leave('a');
  await client.post(`/v1/users/${userId}/reactivate`);
  const again = await leave('a');
  expect([again.statusCode, again.body]).toEqual([200, first.body]);
  expect((await leave('b')).statusCode).toBe(422);
  expect(field(await client.get(`/v1/users/${userId}`), 'status')).toBe('active');
});

it('what a client sent is remembered under a secret key, and by no digest that can be tried', async () => {
  const body = { email: 'ada@example.com', name: 'Ada' };
  const created = await client.post('/v1/users', body, KEY);
  const commit = await service.log.at(positionOf(Number(field(created, 'position'))));
  const plain = fingerprintOf(['POST /v1/users', {}, body]);
  const { keyed } = service.deps.fingerprints;
  expect(commit?.decisions[0]?.fingerprint).toEqual(keyed(plain));
  expect(Buffer.from(keyed(plain)).includes(Buffer.from(plain.subarray(0, 8)))).toBe(false);
});

it.each([
  [true, false],
  [false, true],
])(
  'an instance knows a request again that another setting remembered: keyed %s, then %s',
  async (first, then) => {
    const { fingerprints } = service.deps;
    const send = async (storeKeyed: boolean, name: string) => {
      const app = buildApp({ ...service.deps, fingerprints: { ...fingerprints, storeKeyed } });
      const body = { email: 'ada@example.com', name };
      const answer = await app.inject({ method: 'POST', url: '/v1/users', headers: KEY, payload: body });
      await app.close();
      return answer;
    };
    const created = await send(first, 'Ada');
    const again = await send(then, 'Ada');
    expect([created.statusCode, again.statusCode, again.body]).toEqual([201, 201, created.body]);
    expect((await send(then, 'Eve')).statusCode).toBe(422);
  },
);

it('the fingerprint ignores the order of fields and tells other values apart', () => {
  expect(fingerprintOf({ a: 1, b: [{ c: 1, d: 2 }] })).toEqual(fingerprintOf({ b: [{ d: 2, c: 1 }], a: 1 }));
  expect(fingerprintOf({ a: 1 })).not.toEqual(fingerprintOf({ a: '1' }));
  expect(fingerprintOf([1, 2])).not.toEqual(fingerprintOf([2, 1]));
  expect(fingerprintOf({})).toHaveLength(16);
});

it.each([
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', true],
  ['00-00000000000000000000000000000000-00f067aa0ba902b7-01', false],
  ['00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', false],
  ['00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01', false],
  ['ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', false],
  ['junk', false],
])('the trace context %s is stored with the decision: %s', async (traceparent, valid) => {
  const created = await client.post(
    '/v1/users',
    { email: 'ada@example.com', name: 'Ada' },
    { traceparent, tracestate: 'v=1', 'x-request-id': 'bad id!' },
  );
  const commit = await service.log.at(positionOf(Number(field(created, 'position'))));
  const decision = commit?.decisions[0];
  expect(decision?.traceparent).toBe(valid ? traceparent : '');
  expect(decision?.tracestate).toBe(valid ? 'v=1' : '');
  expect(decision?.actor).toBe('anonymous');
  expect(decision?.correlationId).toBe(created.headers['x-request-id']);
  expect(created.headers['x-request-id']).not.toBe('bad id!');
  expect(decision?.events.map((event) => codecOf(user).decode(event).$typeName)).toContain(
    'jetledger.user.v1.UserCreated',
  );
});
