import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from '../../src/api/app.ts';
import { ownUserId } from '../../src/api/auth/identity.ts';
import { user } from '../../src/domain/user.ts';
import { type CommandHandler, LogUnavailable } from '../../src/eventstore/index.ts';
import { createTokenVerifier, remoteKeys } from '../../src/platform/tokens.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { documentOf, type Route, routesOf } from './document.ts';
import { type Client, clientOf, field } from './requests.ts';
import {
  AUDIENCE,
  bearer,
  ISSUER,
  type JwksServer,
  jwkSetOf,
  jwksServer,
  NOW,
  type SigningKey,
  signingKey,
  tokenOf,
  VERIFIER,
} from './tokens.ts';

const PUBLIC = ['GET /health/live', 'GET /health/ready', 'GET /health/startup'];

let issuer: JwksServer;
let key: SigningKey;
let service: MemoryService;
let client: Client;
let routes: Route[];
/** Headers of the callers. */
let ada: Record<string, string>;
let bob: Record<string, string>;
let admin: Record<string, string>;
let adasOrder: string;

beforeAll(async () => {
  key = await signingKey('k1');
  issuer = await jwksServer(await jwkSetOf(key));
  const keys = remoteKeys({ url: issuer.url, cooldownMs: 0, pauseMs: 0 });
  const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
  service = await memoryService({ override: { auth } });
  client = clientOf(service);
  routes = routesOf(await documentOf(service.app));
  const user = (sub: string) => tokenOf(key, { sub, scope: 'users orders' }).then(bearer);
  [ada, bob] = await Promise.all([user('ada'), user('bob')]);
  admin = bearer(await tokenOf(key, { sub: 'root', scope: 'admin' }));
  await client.post('/v1/products', TEA, admin);
  await client.post('/v1/users', { email: 'ada@example.com', name: 'Ada' }, ada);
  const lines = [{ sku: 'TEA', quantity: 1 }];
  const placed = await client.post('/v1/orders', { userId: 'ada', lines }, ada);
  adasOrder = String(field(placed, 'id'));
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

const TEA = { sku: 'TEA', name: 'Tea', price: { amountMinor: 450, currency: 'EUR' } };

const nameOf = ({ method, path }: Route) => `${method} ${path}`;
const guarded = () => routes.filter((route) => !PUBLIC.includes(nameOf(route)));

/** A request to a route with values for its path and query, and without a body: who asks is decided before that. */
function ask({ method, path }: Route, headers: Record<string, string> = {}) {
  const ids: Record<string, string> = { id: adasOrder, sku: 'TEA', user: 'ada', position: '1' };
  const url = path.replace(/\{(\w+)\}/g, (_all, name: string) => ids[name] ?? 'order');
  return service.app.inject({ method: method as 'GET', url, headers });
}

/** Sends the same headers to every guarded route; each must answer alike. */
async function refusedEverywhere(headers: Record<string, string>, status: number, code: string) {
  for (const route of guarded()) {
    const answer = await ask(route, headers);
    expect([nameOf(route), answer.statusCode, field(answer, 'code')]).toEqual([nameOf(route), status, code]);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(field(answer, 'detail')).toMatch(/token/i);
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="jetledger"/);
  }
}

describe('on every route of the document', () => {
  it('the document says which scopes it needs, and only health needs none', () => {
    const open = routes.filter(({ operation }) => operation.security?.length === 0);
    expect(open.map(nameOf).sort()).toEqual(PUBLIC);
    for (const { operation } of guarded()) {
      const scopes = operation.security?.flatMap(({ bearer = [] }) => bearer) ?? [];
      expect([operation.operationId, scopes.includes('admin')]).toEqual([operation.operationId, true]);
    }
  });

  it('health answers without a token', async () => {
    for (const route of routes.filter((one) => PUBLIC.includes(nameOf(one)))) {
      expect((await ask(route)).statusCode).toBe(200);
    }
    for (const url of ['/openapi.json', '/docs/static/index.html', '/docs']) {
      expect((await service.app.inject(url)).statusCode).toBeLessThan(400);
    }
  });

  it('no token is 401, with the way to log in and no error', async () => {
    await refusedEverywhere({}, 401, 'auth/token-missing');
    const route = guarded()[0];
    if (route === undefined) throw new Error('There is no route.');
    expect((await ask(route)).headers['www-authenticate']).toBe('Bearer realm="jetledger"');
  });

  it.each([
    ['another kind of login', { authorization: 'Basic YWRhOmFkYQ==' }],
    ['two tokens', { authorization: 'Bearer a.b.c d.e.f' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['text that is no token', { authorization: 'Bearer nonsense' }],
  ])('%s is 401', async (_name, headers) => {
    await refusedEverywhere(headers, 401, 'auth/token-invalid');
  });

  it.each([
    ['expired', { exp: NOW - 60 }, 'expired'],
    ['not valid yet', { nbf: NOW + 60 }, 'not valid yet'],
    ['for another audience', { aud: 'other' }, 'audience'],
    ['from another issuer', { iss: 'https://other.example.com/' }, 'issuer'],
  ])('a token that is %s is 401 and says so', async (_name, claims, why) => {
    const headers = bearer(await tokenOf(key, { sub: 'root', scope: 'admin', ...claims }));
    await refusedEverywhere(headers, 401, 'auth/token-invalid');
    const [route] = guarded();
    const challenge = route && (await ask(route, headers)).headers['www-authenticate'];
    expect(challenge).toContain('error="invalid_token"');
    expect(challenge).toContain(why);
  });

  it('a token with another algorithm, without a signature or with an unknown key is 401', async () => {
    const claims = { sub: 'root', scope: 'admin', iss: ISSUER, aud: AUDIENCE, exp: NOW + 60 };
    const [es384, stranger] = await Promise.all([signingKey('k1', 'ES384'), signingKey('k0')]);
    const shared = new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'k1' });
    for (const token of [
      await tokenOf(es384, claims),
      new UnsecuredJWT(claims).encode(),
      await shared.sign(new Uint8Array(32)),
      await tokenOf(stranger, claims),
      await tokenOf({ ...stranger, kid: 'k1' }, claims),
    ]) {
      await refusedEverywhere(bearer(token), 401, 'auth/token-invalid');
    }
  });

  it('a token without the scope is 403 and names it; scopes that nobody knows count for nothing', async () => {
    const headers = bearer(await tokenOf(key, { sub: 'ada', scope: 'ADMIN openid orders:read' }));
    await refusedEverywhere(headers, 403, 'auth/scope-missing');
    for (const route of guarded()) {
      const needed = route.operation.security?.flatMap(({ bearer: scopes = [] }) => scopes) ?? [];
      const answer = await ask(route, headers);
      const challenge = `Bearer realm="jetledger", error="insufficient_scope", scope="${needed.join(' ')}"`;
      expect(answer.headers['www-authenticate']).toBe(challenge);
      for (const scope of ['users', 'catalogue', 'orders']) {
        const { statusCode } = await ask(route, bearer(await tokenOf(key, { sub: 'bob', scope })));
        expect([nameOf(route), scope, statusCode === 403]).toEqual([
          nameOf(route),
          scope,
          !needed.includes(scope),
        ]);
      }
    }
  });

  it('another user than the own one is 404, exactly like one that there is not', async () => {
    const foreign = routes.filter(({ path }) => /^\/v1\/(users|orders)\/(\{id\}|stream)/.test(path));
    const mine = foreign.filter(({ operation }) =>
      operation.security?.some((s) => s.bearer?.[0] !== 'admin'),
    );
    expect(mine.length).toBeGreaterThanOrEqual(9);
    for (const route of mine) {
      const at = (id: string) => {
        const url = route.path.replace('{id}', id);
        const query = route.path === '/v1/orders/stream' ? `?user=${id}` : '';
        const payload = BODIES[route.operation.operationId];
        const headers = { ...bob, 'x-request-id': 'same' };
        const method = route.method as 'GET';
        return service.app.inject({ method, url: `${url}${query}`, headers, ...(payload && { payload }) });
      };
      const existing =
        route.path.startsWith('/v1/users') || route.path.endsWith('stream') ? 'ada' : adasOrder;
      const [there, missing] = [await at(existing), await at('nobody')];
      expect([nameOf(route), there.statusCode]).toEqual([nameOf(route), 404]);
      expect(there.body).toBe(missing.body);
      expect(there.headers).toEqual({ ...missing.headers, date: there.headers.date });
    }
  });
});

const BODIES: Readonly<Record<string, object>> = {
  updateUser: { name: 'Eve' },
  changeEmail: { email: 'eve@example.com' },
};

describe('a user', () => {
  it('registers itself under its own id, once, and the same key gets the same answer', async () => {
    const carol = bearer(await tokenOf(key, { sub: 'auth0|carol', scope: 'users' }));
    const headers = { ...carol, 'idempotency-key': 'k' };
    const body = { email: 'carol@example.com', name: 'Carol' };
    const first = await client.post('/v1/users', body, headers);
    expect([first.statusCode, field(first, 'id')]).toEqual([201, 'auth0_7Ccarol']);
    expect((await client.post('/v1/users', body, headers)).body).toBe(first.body);
    const again = await client.post('/v1/users', { email: 'c2@example.com', name: 'C' }, carol);
    expect([again.statusCode, field(again, 'code')]).toEqual([409, 'user/exists']);
    expect((await client.get('/v1/users/auth0_7Ccarol', carol)).statusCode).toBe(200);
  });

  it('whose name in the token is an address is known by a pseudonym that only the service can make', async () => {
    const name = 'erin@example.com';
    const erin = bearer(await tokenOf(key, { sub: name, scope: 'users' }));
    const created = await client.post('/v1/users', { email: name, name: 'Erin' }, erin);
    expect(created.statusCode).toBe(201);
    const id = String(field(created, 'id'));
    expect(id).toBe(`__${service.deps.pseudonymOf(name)}`);
    expect((await client.get(`/v1/users/${id}`, erin)).statusCode).toBe(200);
  });

  it('whose registration was given up registers under the next id, which is its own too', async () => {
    const { handler, runtime } = service.deps;
    const command = {
      type: 'abandonRegistration',
      userId: 'dora',
      emailAttempt: 'a-0',
      at: runtime.now(),
    } as const;
    await handler.execute(user, 'dora', command, { commandId: runtime.id(), actor: 'email-takeover' });
    const dora = bearer(await tokenOf(key, { sub: 'dora', scope: 'users orders' }));
    const headers = { ...dora, 'idempotency-key': 'k' };
    const body = { email: 'dora@example.com', name: 'Dora' };
    const first = await client.post('/v1/users', body, headers);
    expect([first.statusCode, field(first, 'id')]).toEqual([201, ownUserId('dora', 1)]);
    expect((await client.post('/v1/users', body, headers)).body).toBe(first.body);
    const order = { userId: ownUserId('dora', 1), lines: [{ sku: 'TEA', quantity: 1 }] };
    expect((await client.post('/v1/orders', order, dora)).statusCode).toBe(201);
  });

  it('reads and changes itself and its orders, and is named by its id in the history', async () => {
    expect((await client.get('/v1/users/ada', ada)).statusCode).toBe(200);
    expect((await client.patch('/v1/users/ada', { name: 'Ada King' }, ada)).statusCode).toBe(200);
    const orders = await client.get('/v1/users/ada/orders', ada);
    expect(orders.json<{ items: object[] }>().items).toHaveLength(1);
    const history = await client.get(`/v1/orders/${adasOrder}/events`, ada);
    expect(history.json<{ items: object[] }>().items[0]).toMatchObject({ actor: 'ada' });
    const strong = await client.get(`/v1/orders/${adasOrder}?consistency=strong`, ada);
    expect(strong.statusCode).toBe(200);
  });

  it('orders for itself only', async () => {
    const body = { userId: 'ada', lines: [{ sku: 'TEA', quantity: 1 }] };
    const answer = await client.post('/v1/orders', body, bob);
    expect([answer.statusCode, field(answer, 'code')]).toEqual([404, 'user/not-found']);
  });

  it('sees neither the past of a foreign order nor that it exists', async () => {
    for (const query of ['', '?version=1', '?consistency=strong', '?at=2026-01-15T10:00:00Z', '?x=1']) {
      const [there, missing] = await Promise.all(
        [adasOrder, 'nobody'].map((id) =>
          client.get(`/v1/orders/${id}${query}`, { ...bob, 'x-request-id': 'same' }),
        ),
      );
      expect(there?.body).toBe(missing?.body);
      expect(there?.statusCode).toBeGreaterThanOrEqual(400);
    }
  });

  it('waits as long for a foreign order as for one that there is not, and neither is told without the log', async () => {
    const stored = { reads: 0, away: false };
    const { deps } = service;
    const handler: CommandHandler = {
      ...deps.handler,
      load: async (decider, id, options) => {
        if (options?.maxAgeMs === undefined) stored.reads++;
        if (options?.maxAgeMs === undefined && stored.away) throw new LogUnavailable('away');
        return deps.handler.load(decider, id, options);
      },
    };
    const app = buildApp({ ...deps, handler });
    const asBob = async (id: string) => {
      const since = performance.now();
      const answer = await app.inject({ url: `/v1/orders/${id}/events`, headers: bob });
      return { status: answer.statusCode, ms: performance.now() - since };
    };
    await asBob(adasOrder);
    for (const id of [adasOrder, 'never-placed']) {
      stored.reads = 0;
      const refused = await asBob(id);
      expect([refused.status, stored.reads]).toEqual([404, 1]);
      expect(refused.ms).toBeGreaterThanOrEqual(24);
    }
    stored.away = true;
    for (const id of [adasOrder, 'never-placed']) expect((await asBob(id)).status).toBe(503);
    const own = await app.inject({ url: `/v1/orders/${adasOrder}/events`, headers: ada });
    expect(own.statusCode).toBe(200);
    await app.close();
  });

  it('with the same key as another user is not mixed up with it', async () => {
    const key1 = { 'idempotency-key': 'one' };
    const order = (userId: string, headers: Record<string, string>) =>
      client.post('/v1/orders', { userId, lines: [{ sku: 'TEA', quantity: 1 }] }, { ...headers, ...key1 });
    const [first, second] = [await order('ada', ada), await order('bob', bob)];
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(field(first, 'id')).not.toBe(field(second, 'id'));
  });
});

describe('an admin', () => {
  it('reaches every user and order, and creates users with ids of their own', async () => {
    expect((await client.get('/v1/users/ada', admin)).statusCode).toBe(200);
    expect((await client.get(`/v1/orders/${adasOrder}`, admin)).statusCode).toBe(200);
    expect((await client.get('/v1/orders?status=placed', admin)).statusCode).toBe(200);
    const created = await client.post('/v1/users', { email: 'x@example.com', name: 'X' }, admin);
    expect(created.statusCode).toBe(201);
    expect(field(created, 'id')).not.toBe('root');
  });
});

describe('keys', () => {
  it('may be rotated while the service runs; without any the answer is 503 and never yes', async () => {
    const next = await signingKey('k2');
    issuer.publish(await jwkSetOf(key, next));
    const headers = bearer(await tokenOf(next, { sub: 'root', scope: 'admin' }));
    expect((await client.get('/v1/products', headers)).statusCode).toBe(200);
    issuer.setAway(true);
    const keys = remoteKeys({ url: issuer.url });
    const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
    await using dark = await memoryService({ override: { auth } });
    const answer = await dark.app.inject({ url: '/v1/products', headers });
    expect([answer.statusCode, field(answer, 'code')]).toEqual([503, 'auth/keys-unavailable']);
    expect(answer.headers['retry-after']).toBe('1');
    issuer.setAway(false);
  });
});

describe('a new route', () => {
  it('without a declaration of who may call it stops the start, with its name', async () => {
    const app = buildApp(service.deps);
    app.get('/v1/new', async () => 'open to all');
    await expect(app.ready()).rejects.toThrow(/GET(,HEAD)? \/v1\/new/);
    await app.close();
  });
});
