import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import {
  createDataDir,
  type DataDir,
  runCommand,
  startService,
  stopService,
  type Variables,
} from '../support/service-process.ts';
import { must } from './client.ts';
import { expectRefusal } from './refusal.ts';
import { openShop, showShop } from './shop.ts';

const KEY = { JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32) };
const ASSERTED = { JETLEDGER_LOG__ASSERT_SYNC_ALWAYS: 'true' };
const OTHER_KEY = { JETLEDGER_USERS__EMAIL_KEY: 'b2'.repeat(32) };
const PRODUCTION = {
  JETLEDGER_ENV: 'production',
  JETLEDGER_NATS__ALLOW_INSECURE: 'true',
  JETLEDGER_HTTP__HOST: '127.0.0.1',
  JETLEDGER_PAYMENT__URL: 'http://127.0.0.1:9',
  JETLEDGER_PAYMENT__API_KEY: 'key-of-a-test',
  JETLEDGER_AUTH__ISSUER: 'https://issuer.example.com/',
  JETLEDGER_AUTH__AUDIENCE: 'jetledger',
  JETLEDGER_AUTH__JWKS_URL: 'https://issuer.example.com/jwks.json',
  // No load balancer asks for readiness here.
  JETLEDGER_SERVICE__DRAIN_MS: '0',
};

let server: TestServer;
let data: DataDir;
let variables: Variables;

beforeAll(async () => {
  server = await startTestServer();
  data = await createDataDir();
  variables = { ...data.variables, ...KEY, NATS_URL: server.url };
});
afterAll(async () => {
  await server.stop();
  await data[Symbol.asyncDispose]();
});

/** Process ids of a process's children. */
async function childrenOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim();
}

describe('with a NATS server that runs already', () => {
  it('the log is made by `topology apply` only, and then the service serves and spawns nothing', async () => {
    expectRefusal(await runCommand(['serve'], variables), 'jetledger topology apply');
    expectRefusal(await runCommand(['topology', 'apply'], variables), 'nats.monitorUrls', '--new-log');
    const monitored = { ...variables, JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl };
    const plan = await runCommand(['topology', 'plan', '--json'], monitored);
    expect(plan.code).toBe(0);
    const log = expect.objectContaining({ what: 'stream jetledger', action: 'create' });
    expect(JSON.parse(plan.stdout)).toContainEqual(log);
    expectRefusal(await runCommand(['serve'], variables), 'jetledger topology apply');
    expect(await runCommand(['topology', 'apply'], monitored)).toMatchObject({ code: 0, stderr: '' });

    await using service = await startService(variables);
    expect(await childrenOf(service.pid)).toBe('');
    // The files of lists may have been begun.
    expect((await readdir(data.path)).filter((name) => name !== 'lists')).toEqual([]);
    const shop = await openShop(service.url, 'external');
    await stopService(service);

    const again = await runCommand(['topology', 'apply', '--json'], variables);
    expect(again.stdout).not.toMatch(/"(create|update|refuse)"/);
    await using second = await startService(variables);
    await showShop(second.url, shop);
    await stopService(second);
  });

  it('a log that was made with another e-mail key is refused, by every command that would use it', async () => {
    await applyTopology(variables);
    const other = { ...variables, ...OTHER_KEY };
    const commands = [['serve'], ['topology', 'apply'], ['rebuild', 'users']];
    const all = await Promise.all(commands.map((args) => runCommand(args, other)));
    for (const refused of all) expectRefusal(refused, 'users.emailKey');
    const plan = await runCommand(['topology', 'plan'], other);
    expect(plan).toMatchObject({ code: 1, stdout: expect.stringMatching(/^refuse .*users\.emailKey/) });
  });

  it('an address where nothing answers is refused, without the password that stands in it', async () => {
    const refused = await runCommand(['serve'], { ...variables, NATS_URL: 'nats://ada:s3cret@127.0.0.1:1' });
    expectRefusal(refused, '127.0.0.1:1', 'NATS_URL');
    expect(refused.stdout + refused.stderr).not.toContain('s3cret');
  });
});

describe('in production', () => {
  it('a NATS server and an e-mail key must be named; both are told at once', async () => {
    const { code, stderr } = await runCommand(['serve'], { ...PRODUCTION, ...data.variables });
    expect(code).toBe(1);
    expect(stderr).toMatch(/nats\.url: .*NATS_URL/);
    expect(stderr).toMatch(/users\.emailKey: .*JETLEDGER_USERS__EMAIL_KEY/);
  });

  it('a server without TLS and login is refused, unless a setting says that it is meant', async () => {
    const strict = { ...variables, ...PRODUCTION, JETLEDGER_NATS__ALLOW_INSECURE: 'false' };
    const { code, stderr } = await runCommand(['serve'], strict);
    expect(code).toBe(1);
    for (const key of ['nats.url', 'nats.nkeySeedFile']) {
      expect(stderr).toMatch(new RegExp(`${key}: .*set JETLEDGER_NATS__ALLOW_INSECURE to true`));
    }
  });

  it('a server that acknowledges before data is on disk, or does not show, is refused', async () => {
    await applyTopology(variables);
    const production = { ...variables, ...PRODUCTION };
    const monitored = { ...production, JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl };
    const [hidden, lazy] = await Promise.all([
      runCommand(['serve'], production),
      runCommand(['serve'], monitored),
    ]);
    expectRefusal(hidden, 'nats.monitorUrls', 'log.assertSyncAlways');
    expectRefusal(lazy, 'sync_interval: always');
  });

  it('a server that syncs first serves, when its monitor shows it or the operator vouches for it, and with a master key', async () => {
    await using durable = await startTestServer({ syncAlways: true });
    const keyless = { ...data.variables, ...KEY, ...PRODUCTION, NATS_URL: durable.url };
    await expect(applyTopology(keyless)).rejects.toThrow('set privacy.masterKeys');
    const production = { ...keyless, JETLEDGER_PRIVACY__MASTER_KEYS: 'b2'.repeat(32) };
    await applyTopology(production);
    expectRefusal(await runCommand(['serve'], { ...keyless, ...ASSERTED }), 'privacy.masterKeys');
    const seen = { ...production, JETLEDGER_NATS__MONITOR_URLS: durable.monitorUrl };
    const vouched = { ...production, ...ASSERTED };
    for (const accepted of [seen, vouched]) {
      await using service = await startService(accepted);
      const live = await must(200, service.url, 'GET', '/health/live');
      expect(live.field('environment')).toBe('production');
      await stopService(service);
    }
  });
});
