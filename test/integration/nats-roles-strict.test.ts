import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { type Service, startService } from '../../src/service/start.ts';
import { must, since } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import {
  makeSecrets,
  NATS_CONFIGS,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
} from '../support/secured-nats.ts';
import { until } from '../support/until.ts';

function start(server: SecuredServer, secrets: NatsSecrets, role: NatsRole, roles: string): Promise<Service> {
  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_SERVICE__ROLES: roles,
    JETLEDGER_PROJECTIONS__SHARED: 'true',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    NATS_URL: server.url,
    ...secrets.variablesOf(role),
  };
  return startService(loadConfig({ env, dir: configDir(env) }), pino({ level: 'silent' }));
}

/** Registers a user, and reads it from the view that has to have seen it. */
async function register(url: string, name: string): Promise<void> {
  const user = await must(201, url, 'POST', '/v1/users', { email: `${name}@example.com`, name });
  await must(200, url, 'GET', `/v1/users/${String(user.field('id'))}`, undefined, since(user));
}

it('once its views are there, the projector needs no permission to make or drop streams', async () => {
  await using secrets = await makeSecrets();
  const dir = await mkdtemp(join(tmpdir(), 'jetledger-strict-'));
  await cp(NATS_CONFIGS, dir, { recursive: true });
  await using server = await startSecuredServer('server.conf', secrets, { dir });
  const services: Service[] = [];
  try {
    const operator = { ...secrets.variablesOf('operator'), JETLEDGER_PROJECTIONS__SHARED: 'true' };
    expect((await runInProcess(server, topologyCommand, ['apply'], operator)).code).toBe(0);
    const first = await start(server, secrets, 'projector', 'projections');
    services.push(first);
    await until('its views are there', async () => (await fetch(`${first.url}/health/startup`)).ok);
    await first.stop();

    const users = await readFile(join(dir, 'users.conf'), 'utf8');
    const [before = '', projector = ''] = users.split('# serve --roles projections');
    const [own = '', ...after] = projector.split('# serve --roles processes');
    const strict = own.replace(/^ *"\$JS\.API\.STREAM\.(CREATE|DELETE)\.\*"\n/gm, '');
    expect(own.length - strict.length).toBeGreaterThan(60);
    await writeFile(
      join(dir, 'users.conf'),
      `${before}# serve --roles projections${strict}# serve --roles processes${after.join('')}`,
    );
    await server.reload();

    services.push(await start(server, secrets, 'projector', 'projections'));
    const api = await start(server, secrets, 'api', 'api');
    services.push(api);
    await register(api.url, 'ada');
    expect((await server.log()).split('\n').filter((line) => /violation/i.test(line))).toEqual([]);
  } finally {
    for (const service of services) await service.stop();
    await rm(dir, { recursive: true, force: true });
  }
}, 60_000);
