import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must } from '../e2e/client.ts';
import { makeLog, SECRETS } from '../support/encrypted-service.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { openTestLog } from '../support/nats-log.ts';
import {
  createDataDir,
  type DataDir,
  type ServiceProcess,
  startService,
} from '../support/service-process.ts';
import { filesWith, storeFolder } from '../support/store-files.ts';

/** How long after a request the instance that took it is killed: from before the first step to after the last, in milliseconds. */
const KILLED_AFTER_MS = [0, 60, 150, 400, 1_200, 2_300];
const NAME = 'Augusta Byron';

let server: TestServer;
let folders: readonly DataDir[];

beforeAll(async () => {
  server = await startTestServer();
  await makeLog(server);
  folders = [await createDataDir(), await createDataDir()];
}, 60_000);
afterAll(async () => {
  for (const folder of folders) await folder[Symbol.asyncDispose]();
  await server.stop();
});

const start = (place: 0 | 1, natsUrl = server.url): Promise<ServiceProcess> =>
  startService({
    JETLEDGER_ENV: 'test',
    JETLEDGER_LOGGING__LEVEL: 'info',
    NATS_URL: natsUrl,
    JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
    ...folders[place]?.variables,
    ...SECRETS,
  });

const register = async (url: string, n: number): Promise<string> => {
  const body = { email: `augusta.byron.${n}@example.com`, name: NAME };
  return String((await must(201, url, 'POST', '/v1/users', body)).field('id'));
};

/** What is kept of persons' keys, as its text in the store. */
async function wrappedKeys(persons: readonly string[]): Promise<string[]> {
  await using handle = await openTestLog(server.url);
  const messages = persons.map((person) =>
    handle.connection.request(
      '$JS.API.STREAM.MSG.GET.KV_jl_keys',
      JSON.stringify({ last_by_subj: `$KV.jl_keys.${person}` }),
    ),
  );
  return (await Promise.all(messages)).map((reply) => {
    const { message } = reply.json<{ message: { data: string } }>();
    return (JSON.parse(Buffer.from(message.data, 'base64').toString()) as { wrapped: string }).wrapped;
  });
}

it('whoever asked to be forgotten is, whenever the process that took it is killed, and another one stays or comes back', async () => {
  let first = await start(0);
  const second = await start(1);
  try {
    const persons: string[] = [];
    for (const n of KILLED_AFTER_MS.keys()) persons.push(await register(second.url, n));
    const keys = await wrappedKeys(persons);
    expect((await filesWith(await storeFolder(server.monitorUrl), keys)).size).toBeGreaterThan(0);
    for (const [n, afterMs] of KILLED_AFTER_MS.entries()) {
      await must(202, first.url, 'DELETE', `/v1/users/${persons[n]}`);
      await delay(afterMs);
      first.signal('SIGKILL');
      await first.ended();
      first = await start(0);
    }
    const isDone = async (person: string) =>
      (await ask(second.url, 'GET', `/v1/users/${person}/forgetting`)).field('status') === 'done';
    for (const person of persons) await until(`${person} is forgotten`, () => isDone(person), 90_000);
    expect([...(await filesWith(await storeFolder(server.monitorUrl), keys)).values()].flat()).toEqual([]);
    for (const [n, person] of persons.entries()) {
      const shown = await must(200, second.url, 'GET', `/v1/users/${person}?consistency=strong`);
      expect(shown.body).toMatchObject({ name: 'forgotten', status: 'forgotten' });
      await register(second.url, n);
    }
  } finally {
    for (const service of [first, second]) await service[Symbol.asyncDispose]();
  }
}, 300_000);

it('an instance that is cut off from the servers shows no name 2 s after another one says that it is done', async () => {
  await using proxy = await startFaultProxy(server.url);
  const near = await start(0);
  const far = await start(1, proxy.url);
  try {
    const person = await register(near.url, 99);
    const path = `/v1/users/${person}`;
    await until(
      'the far one shows the name',
      async () => (await ask(far.url, 'GET', path)).field('name') === NAME,
    );
    proxy.blackHole();
    await must(202, near.url, 'DELETE', path);
    const isDone = async () => (await ask(near.url, 'GET', `${path}/forgetting`)).field('status') === 'done';
    await until('the person is forgotten', isDone, 60_000);
    const shown = await ask(far.url, 'GET', path).catch(() => undefined);
    expect(JSON.stringify(shown?.body ?? '')).not.toContain('Byron');
    proxy.heal();
    await until(
      'the far one says so',
      async () => (await ask(far.url, 'GET', path)).field('name') === 'forgotten',
      60_000,
    );
  } finally {
    for (const service of [near, far]) await service[Symbol.asyncDispose]();
  }
}, 180_000);
