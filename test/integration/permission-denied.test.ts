import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { connectNats } from '../../src/platform/nats-connection.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { added, counterRef, toyCommit } from '../../src/testing/contracts/toy.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must, since } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { createLogStream, TEST_LOG } from '../support/nats-log.ts';
import {
  makeSecrets,
  NATS_CONFIGS,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
} from '../support/secured-nats.ts';

let secrets: NatsSecrets;
let dir: string;
let server: SecuredServer;
let shipped: string;
const services: Service[] = [];
const lines: { level: number; msg: string; subject?: string; natsUser?: string }[] = [];

beforeAll(async () => {
  secrets = await makeSecrets();
  dir = await mkdtemp(join(tmpdir(), 'jetledger-denied-'));
  await cp(NATS_CONFIGS, dir, { recursive: true });
  shipped = await readFile(join(dir, 'users.conf'), 'utf8');
  server = await startSecuredServer('server.conf', secrets, { dir });
  expect((await runInProcess(server, topologyCommand, ['apply'], secrets.variablesOf('owner'))).code).toBe(0);
}, 60_000);
afterAll(async () => {
  for (const service of services) await service.stop();
  await server?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

/** Takes subjects from a user. */
async function deny(role: NatsRole, ...subjects: string[]): Promise<void> {
  const user = `nkey: $JETLEDGER_NKEY_${role.toUpperCase()}`;
  const [before = '', ...own] = shipped.split(user);
  const quoted = subjects.map((subject) => `"${subject}"`).join(', ');
  const [first, instead] =
    role === 'projector' ? ['deny: [', `deny: [ ${quoted},`] : ['allow: [', `deny: [ ${quoted} ]\nallow: [`];
  const denied = own.join(user).replace(first, instead);
  await writeFile(join(dir, 'users.conf'), [before, denied].join(user));
  await server.reload();
}
/** Gives everything back. */
async function grant(): Promise<void> {
  await writeFile(join(dir, 'users.conf'), shipped);
  await server.reload();
}

async function start(role: NatsRole, roles: string, more: Record<string, string> = {}): Promise<Service> {
  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_SERVICE__ROLES: roles,
    JETLEDGER_PROJECTIONS__SHARED: 'true',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    NATS_URL: server.url,
    ...secrets.variablesOf(role),
    ...more,
  };
  const write = (line: string): void => void lines.push(JSON.parse(line) as (typeof lines)[number]);
  const service = await startService(
    loadConfig({ env, dir: configDir(env) }),
    pino({ level: 'warn' }, { write }),
  );
  services.push(service);
  return service;
}

async function publicKeyOf(role: NatsRole): Promise<string> {
  const users = await readFile(join(secrets.folder, 'users.env'), 'utf8');
  return new RegExp(`^JETLEDGER_NKEY_${role.toUpperCase()}=(\\w+)$`, 'm').exec(users)?.[1] ?? '';
}

/** How many commits the log holds of a product. */
async function commitsOf(sku: string): Promise<number> {
  const env = { JETLEDGER_ENV: 'test', ...secrets.variablesOf('operator') };
  const { nats } = loadConfig({ env, dir: configDir(env) });
  const connection = await connectNats(server.url, nats, 'test');
  const jsm = await jetstreamManager(connection, { apiPrefix: nats.apiPrefix, checkAPI: false });
  const { state } = await jsm.streams.info('jetledger', { subjects_filter: `jl.product.*.*.*.${sku}` });
  await connection.close();
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

const checksOf = async (service: Service): Promise<Record<string, { ok: boolean; detail?: string }>> =>
  (await ask(service.url, 'GET', '/health/ready')).field('checks') as Record<string, { ok: boolean }>;

const product = (sku: string) => ({ sku, name: 'Tea', price: { amountMinor: 100, currency: 'EUR' } });
const errors = () => lines.filter(({ level }) => level >= 50);

describe('a category that NATS does not let the API append to', () => {
  it('is told as such within 500 ms, fails readiness and doctor, and works once it is granted', async () => {
    const api = await start('api', 'api');
    const user = await publicKeyOf('api');
    await until('it is ready', async () => (await ask(api.url, 'GET', '/health/ready')).status === 200);
    await must(201, api.url, 'POST', '/v1/products', product('BEFORE'));
    await deny('api', 'jl.product.>');

    const key = { 'idempotency-key': 'tea-1' };
    const answer = await ask(api.url, 'POST', '/v1/products', product('TEA-1'), key);
    expect([answer.status, answer.field('code')]).toEqual([500, 'log/permission-denied']);
    expect(answer.ms).toBeLessThan(500);
    expect(answer.headers.get('retry-after')).toBeNull();
    expect(JSON.stringify(answer.body)).not.toMatch(/jl\.product|NKEY|again|Idempotency/);
    await must(500, api.url, 'POST', '/v1/products', product('TEA-2'));
    await must(201, api.url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });

    const ready = await ask(api.url, 'GET', '/health/ready');
    expect(ready.status).toBe(503);
    expect((await checksOf(api))['log writable']?.detail).toMatch(
      new RegExp(
        `does not allow the user with the NKEY ${user} to publish to jl\\.product\\.\\d\\.\\d\\.\\d\\.readiness`,
      ),
    );
    expect(errors()).toMatchObject([
      {
        subject: expect.stringMatching(/^jl\.product\..*\.TEA-1$/),
        natsUser: `the user with the NKEY ${user}`,
      },
    ]);

    const variables = { ...secrets.variablesOf('api'), JETLEDGER_SERVICE__ROLES: 'api' };
    const doctor = await runInProcess(server, doctorCommand, [], variables);
    expect(doctor.code).toBe(1);
    expect(doctor.text).toMatch(
      new RegExp(
        `fail {2}permissions .*the user with the NKEY ${user} may not append to product \\(jl\\.product\\.`,
      ),
    );

    // Denied was the whole truth: with the permission the same request is stored for the first time.
    expect(await commitsOf('TEA-1')).toBe(0);
    await grant();
    const repeated = await must(201, api.url, 'POST', '/v1/products', product('TEA-1'), key);
    expect(await must(201, api.url, 'POST', '/v1/products', product('TEA-1'), key)).toMatchObject({
      body: repeated.body,
    });
    expect(await commitsOf('TEA-1')).toBe(1);
    await until('it is ready', async () => (await ask(api.url, 'GET', '/health/ready')).status === 200);
    const { text } = await runInProcess(server, doctorCommand, [], variables);
    expect(text).toMatch(/^ok {4}permissions /m);
  }, 60_000);
});

describe('a view that NATS does not let the projector write', () => {
  it('fails readiness with subject and user, and goes on by itself once it is granted', async () => {
    await deny('projector', '$KV.jl_users_v1.>');
    const projector = await start('projector', 'projections');
    const api = services[0] ?? (await start('api', 'api'));
    const user = await must(201, api.url, 'POST', '/v1/users', { email: 'bob@example.com', name: 'Bob' });
    await until('readiness says why', async () =>
      /\$KV\.jl_users_v1\./.test((await checksOf(projector))['nats permissions']?.detail ?? ''),
    );
    expect(errors().some(({ subject }) => subject?.startsWith('$KV.jl_users_v1.'))).toBe(true);
    await grant();
    await must(200, api.url, 'GET', `/v1/users/${String(user.field('id'))}`, undefined, since(user));
  }, 60_000);
});

describe('a log that NATS does not let the projector follow', () => {
  it('fails readiness, and the views go on once it is granted', async () => {
    await deny('projector', 'LOG.API.CONSUMER.CREATE.jetledger');
    const projector = await start('projector', 'projections');
    await until('readiness says why', async () =>
      /publish to LOG\.API\.CONSUMER\.CREATE\.jetledger/.test(
        (await checksOf(projector))['nats permissions']?.detail ?? '',
      ),
    );
    await grant();
    await until('it follows', async () => (await checksOf(projector))['view users']?.ok === true);
  }, 60_000);
});

it('a process that may not hear its replies does not start, and is told what it lacks', async () => {
  const wrong = { JETLEDGER_NATS__INBOX_PREFIX: '_INBOX_processor' };
  await expect(start('api', 'api', wrong)).rejects.toMatchObject({
    code: 'log/permission-denied',
    operation: 'subscribe',
    message: expect.stringMatching(/to subscribe to _INBOX_processor\./),
  });
});

it('a commit that NATS denies is told so alone, also where it shares a batch with commits that are stored', async () => {
  const permissions = { publish: { deny: ['jl.*.*.*.*.denied'] } };
  const users = [
    { user: 'full', password: 'full' },
    { user: 'weak', password: 'weak', permissions },
  ];
  await using open = await startTestServer({
    extraConfig: { authorization: { users }, no_auth_user: 'full' },
  });
  await createLogStream(open.url);
  const connection = await connect({ servers: open.url, user: 'weak', pass: 'weak' });
  const requests = createRequests(connection);
  const bounds = { attemptTimeoutMs: 2_000, deadlineMs: 10_000 };
  const { log } = await openNatsLog({
    ...{ requests, runtime: systemRuntime, ...TEST_LOG, ...bounds, groupCommit: 'always' },
  });
  const append = (id: string) => log.append(counterRef(id), 0, toyCommit(id, [added(1)]));
  const outcomes = await Promise.allSettled(['a', 'b', 'denied', 'c', 'd', 'e'].map(append));
  expect(outcomes.map(({ status }) => status)).toEqual([
    ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  ]);
  expect(outcomes[2]).toMatchObject({ reason: { code: 'log/permission-denied' } });
  const both = ['f', 'denied'].map((id) => ({
    ...{ stream: counterRef(id), expected: 0, commit: toyCommit('together', [added(1)]) },
  }));
  await expect(log.appendAll(both)).rejects.toMatchObject({ code: 'log/permission-denied' });
  expect(await log.read(counterRef('f'), { after: 0, confirm: true })).toMatchObject({ commits: [] });
  requests.close();
  await connection.close();
});
