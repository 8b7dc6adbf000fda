import { pino } from 'pino';
import { expect, it } from 'vitest';
import { parkedCommand } from '../../src/cli/parked.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { openMessageDeadLetters } from '../../src/processes/engine/dead-letters/messages.ts';
import { NOTIFICATIONS } from '../../src/processes/notification/adapters/receiver.ts';
import { startService } from '../../src/service/start.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { bucketsOf } from '../support/echo.ts';
import { openTestLog } from '../support/nats-log.ts';

const KEY = { JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32) };

it('a service that learns to greet greets nobody of the past, from then on everybody once, and again what was given up', async () => {
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

  await keepGivenUp(server.url, ada);
  const parked = (action: string) =>
    runInProcess(server, parkedCommand, [action, '--consumer', 'notifications'], KEY);
  expect((await parked('list')).text).toMatch(
    new RegExp(`^notifications  user/${ada}  position 1  50 tries, away`),
  );
  await parked('redrive');
  await until('it is told again', () => told.filter((line) => line === `welcome ${ada}`).length === 2);
  await until('it is none any more', async () => (await parked('list')).text === 'Nothing is parked.');
  await second.stop();
  await api.stop();
}, 60_000);

/** Leaves a dead letter as versions before the delivery engine did after seven hours of failed tries. */
async function keepGivenUp(url: string, userId: string): Promise<void> {
  await using log = await openTestLog(url);
  const deadLetters = openMessageDeadLetters({
    ...{ buckets: bucketsOf(log), prefix: 'jl', runtime: systemRuntime, name: NOTIFICATIONS },
    again: () => Promise.reject(new Error('only the service sends again')),
    onTrouble: () => undefined,
  });
  const payload = { id: '1/welcome', kind: 'welcome', userId, text: 'Hello.', time: 0, traceparent: '' };
  const letter = {
    stream: { category: 'user', id: userId },
    position: positionOf(1),
    type: 'welcome',
    payload,
  };
  await deadLetters.keep({ ...letter, error: new Error('away'), attempts: 50, firstAt: 0, traceId: '' });
  await deadLetters.stop();
}
