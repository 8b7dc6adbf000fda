import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { createDataDir, type DataDir, runCommand, startService } from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { openShop } from './shop.ts';

const SECRETS = {
  JETLEDGER_USERS__EMAIL_KEY: '5ec12e7a'.repeat(8),
  JETLEDGER_NATS__TOKEN: 'secret-nats-token',
  JETLEDGER_PAYMENT__API_KEY: 'secret-payment-key',
  JETLEDGER_NOTIFICATIONS__SECRET: 'secret-webhook-signature',
};
/** Where nobody listens: every payment and notification fails, and says so. */
const NOWHERE = 'http://127.0.0.1:9/hook';
const settings = {
  ...SECRETS,
  JETLEDGER_PAYMENT__ADAPTER: 'http',
  JETLEDGER_PAYMENT__URL: NOWHERE,
  JETLEDGER_NOTIFICATIONS__ADAPTER: 'webhook',
  JETLEDGER_NOTIFICATIONS__URL: NOWHERE,
  JETLEDGER_LOGGING__LEVEL: 'trace',
  JETLEDGER_TRACING__DEV_TRACES: '100',
};

let server: TestServer;
let data: DataDir;
let variables: Record<string, string>;

beforeAll(async () => {
  const token = SECRETS.JETLEDGER_NATS__TOKEN;
  server = await startTestServer({ extraConfig: { authorization: { token } } });
  data = await createDataDir();
  variables = { ...data.variables, ...settings, NATS_URL: server.url };
  await applyTopology(variables);
});
afterAll(async () => {
  await server?.stop();
  await data?.[Symbol.asyncDispose]();
});

const told = (text: string): string[] => Object.values(SECRETS).filter((secret) => text.includes(secret));

it('no secret is told in problems, health, metrics, traces or log lines, also while everything fails', async () => {
  await using service = await startService(variables);
  const { url } = service;
  const shop = await openShop(url, 'secrets');
  const seen: string[] = [];
  const note = async (path: string): Promise<void> => {
    seen.push(await (await fetch(`${url}${path}`)).text());
  };
  await until('the payment has failed', () => service.output().stdout.includes('tried again'));
  for (const path of ['/metrics', '/v1/admin/traces?limit=50', '/health/ready', '/v1/nothing'])
    await note(path);
  const problem = await ask(url, 'POST', '/v1/orders', { userId: shop.userId, lines: [], payment: 'x' });
  expect(problem.status).toBe(400);
  await server.kill9();
  const away = await ask(url, 'POST', '/v1/users', { email: 'b@example.com', name: 'Bob' });
  expect(away.status).toBe(503);
  await note('/health/ready');
  await server.restart();
  await until('it is back', async () => (await fetch(`${url}/health/ready`)).ok);
  await must(200, url, 'GET', `/v1/users/${shop.userId}`);
  const { stdout, stderr } = service.output();
  expect(stdout).toContain('"level":');
  seen.push(JSON.stringify([problem.body, away.body]), stdout, stderr);
  expect(seen.join('\n').length).toBeGreaterThan(10_000);
  expect(seen.flatMap(told)).toEqual([]);
});

it('no secret is told by the commands that show what is configured', async () => {
  for (const command of ['config', 'doctor', 'status', 'topology plan']) {
    const { stdout, stderr } = await runCommand(command.split(' '), variables);
    expect(stdout.length, command).toBeGreaterThan(50);
    expect(told(stdout + stderr), command).toEqual([]);
  }
});

it('a password in the address of NATS is told by nobody either, with a server and without', async () => {
  const password = 'secret-in-address';
  await using guarded = await startTestServer({ extraConfig: { authorization: { user: 'ada', password } } });
  await using own = await createDataDir();
  const NATS_URL = guarded.url.replace('nats://', `nats://ada:${password}@`);
  const login = { ...variables, ...own.variables, JETLEDGER_NATS__TOKEN: '', NATS_URL };
  const texts: string[] = [];
  const run = async (command: string): Promise<string> => {
    const { stdout, stderr } = await runCommand(command.split(' '), login);
    texts.push(stdout, stderr);
    return stdout + stderr;
  };
  expect(await run('topology apply --new-log')).not.toContain('cannot be used');
  await using service = await startService(login);
  const note = async (path: string): Promise<void> => {
    texts.push(await (await fetch(`${service.url}${path}`)).text());
  };
  await openShop(service.url, 'address');
  for (const path of ['/metrics', '/v1/admin/traces?limit=50', '/health/ready']) await note(path);
  await guarded.kill9();
  expect((await ask(service.url, 'POST', '/v1/users', { email: 'c@example.com', name: 'C' })).status).toBe(
    503,
  );
  await note('/health/ready');
  for (const command of ['config', 'doctor', 'status', 'serve']) {
    expect(await run(command), command).toContain('nats://***@');
  }
  const { stdout, stderr } = service.output();
  expect(stdout.length).toBeGreaterThan(1_000);
  expect([...texts, stdout, stderr].filter((text) => text.includes(password))).toEqual([]);
}, 60_000);
