import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { until } from '../../src/testing/until.ts';
import { must, since } from '../e2e/client.ts';
import { openShop, showShop } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import {
  type ConfigCopy,
  copyOfConfigs,
  makeSecrets,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
  withUsersBefore,
} from '../support/secured-nats.ts';
import type { Variables } from '../support/service-process.ts';

/** docs/operations.md, "From one account to one per role", step by step. */
let secrets: NatsSecrets;
let before: NatsSecrets;
let configs: ConfigCopy;
let server: SecuredServer;
const services: Service[] = [];

beforeAll(async () => {
  secrets = await makeSecrets();
  before = (await makeSecrets()).withCertificatesOf(secrets);
  configs = await copyOfConfigs();
  const users = ['API', 'PROJECTOR', 'PROCESSOR', 'OPERATOR'].map(
    (role) => `{ nkey: $JETLEDGER_NKEY_BEFORE_${role}, permissions { publish: ">", subscribe: ">" } }`,
  );
  const oneForAll = `accounts { JETLEDGER { jetstream: enabled, users: [ ${users.join(', ')} ] } }`;
  await writeFile(join(configs.dir, 'users.conf'), oneForAll);
  server = await startSecuredServer('server.conf', withUsersBefore(secrets, before), { dir: configs.dir });
});
afterAll(async () => {
  for (const service of services) await service.stop().catch(() => undefined);
  await server?.[Symbol.asyncDispose]();
  await configs?.[Symbol.asyncDispose]();
  await before?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
});

/** What a process had to set before there were accounts of roles. */
function variablesBefore(role: NatsRole): Variables {
  const {
    JETLEDGER_NATS__API_PREFIX: _,
    JETLEDGER_NATS__VIEWS_API_PREFIX: __,
    ...rest
  } = before.variablesOf(role);
  return rest;
}

const PROCESSES = [
  ['projector', 'projections'],
  ['processor', 'processes'],
  ['api', 'api'],
] as const;

/** All three processes; the address of the API comes last. */
async function startAll(variables: (role: NatsRole) => Variables): Promise<Service[]> {
  const started: Service[] = [];
  for (const [role, roles] of PROCESSES) {
    const env = {
      JETLEDGER_ENV: 'test',
      JETLEDGER_SERVICE__ROLES: roles,
      JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
      NATS_URL: server.url,
      ...variables(role),
    };
    const service = await startService(loadConfig({ env, dir: configDir(env) }), pino({ level: 'silent' }));
    services.push(service);
    started.push(service);
  }
  return started;
}

const apiOf = (started: readonly Service[]): string => started.at(-1)?.url ?? '';

/** A user that one process registers is read from the other's views. */
async function seenBy(writer: string, reader: string, name: string): Promise<void> {
  const user = await must(201, writer, 'POST', '/v1/users', { email: `${name}@example.com`, name });
  await must(200, reader, 'GET', `/v1/users/${String(user.field('id'))}`, undefined, since(user));
}

async function isConfirmed(url: string, orderId: string): Promise<void> {
  await until(
    'the order is confirmed',
    async () =>
      (await must(200, url, 'GET', `/v1/orders/${orderId}?consistency=strong`)).field('status') ===
      'confirmed',
    15_000,
  );
}

it('old processes in the account of the log and new ones in their own work side by side, and the old ones go', async () => {
  expect((await runInProcess(server, topologyCommand, ['apply'], variablesBefore('operator'))).code).toBe(0);
  const old = await startAll(variablesBefore);
  const shop = await openShop(apiOf(old), 'before');
  await isConfirmed(apiOf(old), shop.orderId);

  // The account keeps its name, so its streams stay; the users of before stay with fewer rights.
  configs.make('--before');
  // nats-server 2.15.1 takes new imports in at the second reload only; a restart needs no second.
  await server.reload();
  await server.reload();
  await seenBy(apiOf(old), apiOf(old), 'old');
  const grown = await startAll(secrets.variablesOf);
  await until(
    'the views are filled anew',
    async () => (await fetch(`${grown[0]?.url}/health/ready`)).ok,
    15_000,
  );
  await showShop(apiOf(grown), shop);
  await seenBy(apiOf(old), apiOf(grown), 'from-old');
  await seenBy(apiOf(grown), apiOf(old), 'from-new');
  const both = await openShop(apiOf(grown), 'both');
  await isConfirmed(apiOf(old), both.orderId);
  await showShop(apiOf(old), both);

  for (const service of old.reverse()) await service.stop();
  configs.make();
  await server.reload();
  await expect(before.connectAs('api', server)).rejects.toThrow(/authorization/i);
  const after = await openShop(apiOf(grown), 'after');
  await isConfirmed(apiOf(grown), after.orderId);
  await showShop(apiOf(grown), after);
  expect((await server.log()).split('\n').filter((line) => /violation/i.test(line))).toEqual([]);
}, 90_000);
