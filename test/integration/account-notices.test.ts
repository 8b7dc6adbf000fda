import { pino } from 'pino';
import { expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { startService } from '../../src/service/start.ts';
import { must } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { startTestServer } from '../support/nats-server.ts';
import { until } from '../support/until.ts';

const KEY = { JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32) };

it('a service that learns to greet greets nobody of the past, and from then on everybody once', async () => {
  await using server = await startTestServer();
  expect((await runInProcess(server, topologyCommand, ['apply'], KEY)).code).toBe(0);
  const told: string[] = [];
  const write = (line: string): void => {
    const { msg, kind, userId } = JSON.parse(line) as Record<string, string>;
    if (msg === 'notification') told.push(`${kind} ${userId}`);
  };
  const start = (roles: string) => {
    const env = { JETLEDGER_ENV: 'test', NATS_URL: server.url, JETLEDGER_SERVICE__ROLES: roles, ...KEY };
    return startService(loadConfig({ env, dir: configDir(env) }), pino({ level: 'info' }, { write }));
  };
  const register = async (url: string, name: string): Promise<string> =>
    String((await must(201, url, 'POST', '/v1/users', { name, email: `${name}@example.com` })).field('id'));

  const api = await start('api,projections');
  await register(api.url, 'past');
  const first = await start('processes');
  const ada = await register(api.url, 'ada');
  await until('ada is greeted', () => told.length === 1);
  await first.stop();
  const bob = await register(api.url, 'bob');
  await must(200, api.url, 'POST', `/v1/users/${ada}/email`, { email: 'king@example.com' });
  const second = await start('processes');
  await until('what happened meanwhile is told', () => told.length === 3);
  expect(told.toSorted()).toEqual([`email-changed ${ada}`, `welcome ${ada}`, `welcome ${bob}`].toSorted());
  await second.stop();
  await api.stop();
}, 60_000);
