import { afterEach, beforeEach, expect, it } from 'vitest';
import { configDir, loadConfig, settingSources } from '../../src/platform/config/load.ts';
import { bucketNames, toBytes } from '../../src/processes/engine/rows.ts';
import { toldSettings } from '../../src/service/operators/configuration.ts';
import { announceInstance } from '../../src/service/operators/instances.ts';
import { until } from '../../src/testing/until.ts';
import { type MemoryService, memoryService, TEST_EPOCH, TEST_PREFIX } from '../support/memory-service.ts';
import { type Client, clientOf } from './requests.ts';

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(async () => service[Symbol.asyncDispose]());

const SECRET = 'a1'.repeat(32);

interface Configuration {
  readonly instances: readonly { readonly id: string; readonly name: string }[];
  readonly items: readonly { readonly name: string; readonly values: readonly object[] }[];
}

/** A process that tells of itself, with these variables. */
function process(name: string, variables: Readonly<Record<string, string>>) {
  const env = { JETLEDGER_ENV: 'test', ...variables };
  const sources = { env, dir: configDir(env) };
  const settings = toldSettings(loadConfig(sources), settingSources(sources));
  const open = () => service.buckets.create(bucketNames(TEST_PREFIX).shared, { durable: true });
  const self = { name, roles: ['api'], version: '0.1.0', node: '24.1.0', settings };
  return announceInstance({ open, runtime: service.deps.runtime }, self, () => []);
}

async function configuration(): Promise<Configuration> {
  return (await client.get('/v1/admin/configuration')).json<Configuration>();
}

it('each setting is told with its value, where that comes from, and who has another one; no secret is told', async () => {
  const one = process('one', {
    JETLEDGER_HTTP__PORT: '3001',
    JETLEDGER_USERS__EMAIL_KEY: SECRET,
    NATS_URL: 'nats://somebody:hidden@nats:4222',
  });
  const other = process('other', {});
  await until('both have told', async () => (await configuration()).instances.length === 2);
  const told = await configuration();
  const [first, second] = told.instances.map(({ id }) => id);
  const of = (name: string) => told.items.find((item) => item.name === name)?.values;
  expect(of('http.port')).toEqual([
    { value: '3001', origin: 'JETLEDGER_HTTP__PORT', instances: [first] },
    { value: '0', origin: 'configs/test.yaml', instances: [second] },
  ]);
  expect(of('http.bodyLimitBytes')).toEqual([
    { value: expect.any(String), origin: 'default', instances: [first, second] },
  ]);
  expect(of('users.emailKey')).toContainEqual({
    ...{ value: '***', origin: 'JETLEDGER_USERS__EMAIL_KEY', instances: [first] },
  });
  expect(JSON.stringify(told)).not.toMatch(new RegExp(`${SECRET}|hidden`));
  await Promise.all([one.stop(), other.stop()]);
  expect((await configuration()).instances).toEqual([]);
});

it('what was noted of backups is told, and nothing where nobody has noted anything', async () => {
  const backups = async () => (await client.get('/v1/admin/backups')).json<object>();
  expect(await backups()).toEqual({});
  const bucket = await service.buckets.create('jl_backups', { durable: true });
  const taken = { at: TEST_EPOCH, bytes: 12, last: 7, streams: 3, version: '0.1.0' };
  const proved = {
    at: TEST_EPOCH,
    takenAt: TEST_EPOCH,
    last: 7,
    ok: false,
    problem: 'jl.snapshot is missing',
  };
  for (const [key, note] of Object.entries({ taken, proved }))
    await bucket.write({ key, value: toBytes(note), expectedRevision: 0 });
  const at = new Date(TEST_EPOCH).toISOString();
  expect(await backups()).toEqual({ taken: { ...taken, at }, proved: { ...proved, at, takenAt: at } });
});
