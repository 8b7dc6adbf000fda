import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Authenticator } from '../../src/api/auth/identity.ts';
import { user } from '../../src/domain/user.ts';
import { createMemoryKeys } from '../support/memory-keys.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, field } from './requests.ts';
import { bearer } from './tokens.ts';

/** A token is its user's name. */
const auth: Authenticator = {
  verify: async (name) => ({
    outcome: 'verified',
    user: name,
    scopes: name === 'root' ? ['admin'] : ['users', 'orders'],
    expiresAt: Number.MAX_SAFE_INTEGER,
  }),
};
const [ada, bob, root] = [bearer('ada'), bearer('bob'), bearer('root')];

let service: MemoryService;
let client: Client;

beforeAll(async () => {
  service = await memoryService({ personal: createMemoryKeys().personal, override: { auth } });
  client = clientOf(service);
  for (const name of ['ada', 'bob', 'carl'])
    await client.post('/v1/users', { email: `${name}@example.com`, name }, bearer(name));
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
});

/** As the process of the service does it, without the grace that this one has not. */
const forgetNow = (id: string) => service.deps.useCases.forgetWhenDue(id, service.deps.runtime.now());

it('a person asks to be forgotten, and nobody else but an admin, who says why', async () => {
  const foreign = await client.remove('/v1/users/ada', undefined, bob);
  expect([foreign.statusCode, field(foreign, 'code')]).toEqual([404, 'user/not-found']);
  expect(field(await client.get('/v1/users/ada/forgetting', bob), 'code')).toBe('user/not-found');
  for (const body of [undefined, {}, { reason: ' ' }]) {
    const silent = await client.remove('/v1/users/ada', body, root);
    expect(silent.json()).toMatchObject({
      code: 'request/invalid',
      errors: [{ in: 'body', pointer: '/reason' }],
    });
  }
  const asked = await client.remove('/v1/users/carl', { reason: 'asked by letter' }, root);
  expect([asked.statusCode, asked.headers.location]).toEqual([202, '/v1/users/carl/forgetting']);
  expect((await client.remove('/v1/users/ada', undefined, ada)).json()).toMatchObject({
    status: 'requested',
  });
});

it('If-Match counts, and asking again changes nothing', async () => {
  const stale = await client.remove('/v1/users/bob', undefined, { ...bob, 'if-match': '"1"' });
  expect([stale.statusCode, field(stale, 'code')]).toEqual([412, 'command/version-mismatch']);
  const first = await client.remove('/v1/users/bob', undefined, bob);
  const second = await client.remove('/v1/users/bob', undefined, bob);
  expect([second.statusCode, second.json()]).toEqual([202, first.json()]);
});

it('who was forgotten registers again under the same token as somebody new', async () => {
  await forgetNow('ada');
  expect(field(await client.get('/v1/users/ada/forgetting', ada), 'status')).toBe('erasing');
  const again = await client.post('/v1/users', { email: 'ada@example.com', name: 'Ada' }, ada);
  expect([again.statusCode, field(again, 'id')]).toEqual([201, 'ada__1']);
});

it('nothing can be asked of who was forgotten', async () => {
  await client.remove('/v1/users/bob', undefined, bob);
  await forgetNow('bob');
  const { state } = await service.deps.handler.load(user, 'bob');
  expect(state.status).toBe('forgotten');
  const refused = [
    await client.patch('/v1/users/bob', { name: 'Bob' }, bob),
    await client.post('/v1/users/bob/email', { email: 'b@example.com' }, bob),
    await client.post('/v1/users/bob/deactivate', {}, bob),
    await client.post('/v1/users/bob/reactivate', {}, root),
    await client.post('/v1/users/bob/forgetting/call-off', {}, bob),
  ];
  for (const answer of refused)
    expect([answer.statusCode, field(answer, 'code')]).toEqual([410, 'user/forgotten']);
});
