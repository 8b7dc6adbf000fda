import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import type { Command } from '../../src/cli/command.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { until } from '../../src/testing/until.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import {
  type ConfigCopy,
  copyOfConfigs,
  makeSecrets,
  type NatsRole,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
} from '../support/secured-nats.ts';

let secrets: NatsSecrets;
let configs: ConfigCopy;
let server: SecuredServer;
let folder: string;

const as = (role: NatsRole, command: Command, ...args: string[]) =>
  runInProcess(server, command, args, secrets.variablesOf(role));

beforeAll(async () => {
  secrets = await makeSecrets();
  configs = await copyOfConfigs();
  server = await startSecuredServer('server.conf', secrets, { dir: configs.dir });
  folder = await mkdtemp(join(tmpdir(), 'jetledger-owner-'));
  expect((await as('owner', topologyCommand, 'apply')).code).toBe(0);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await configs?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What the server says to the owner, or that nobody answers. */
async function asOwner(call: string, payload = ''): Promise<string> {
  const connection = await secrets.connectAs('owner', server);
  try {
    return await connection.request(`$JS.API.${call}`, payload, { timeout: 5_000 }).then(
      (answer) => answer.string(),
      (error: Error) => error.message,
    );
  } finally {
    await connection.close();
  }
}

const GUARDED = ['DELETE', 'PURGE', 'UPDATE', 'RESTORE', 'MSG.DELETE'];
const isThere = async (): Promise<boolean> => !/"error"/.test(await asOwner('STREAM.INFO.jetledger'));

describe('the owner of the log', () => {
  it('does not get around the guard by a stream that republishes, but to the log, as docs/security.md says', async () => {
    const connection = await secrets.connectAs('owner', server);
    try {
      const targets = [
        '$JS.API.STREAM.DELETE.jetledger',
        '$JS.API.STREAM.PURGE.jetledger',
        'jl.user.0.0.0.x',
      ];
      for (const [index, dest] of targets.entries()) {
        const src = `$KV.jl_z${index}.x`;
        const made = {
          name: `KV_jl_z${index}`,
          subjects: [src],
          storage: 'memory',
          republish: { src, dest },
        };
        await connection.request(`$JS.API.STREAM.CREATE.${made.name}`, JSON.stringify(made));
        await connection.request(src, '');
      }
      await until('garbage is stored', async () =>
        (await asOwner('STREAM.INFO.jetledger')).includes('"messages":1'),
      );
      for (const index of targets.keys())
        await connection.request(`$JS.API.STREAM.DELETE.KV_jl_z${index}`, '');
    } finally {
      await connection.close();
    }
  });

  it('copies it, and cannot delete, change or replace it while the configuration guards it', async () => {
    const copy = join(folder, 'copy');
    expect(await as('owner', backupCommand, copy)).toMatchObject({ code: 0 });
    for (const call of GUARDED)
      expect([call, await asOwner(`STREAM.${call}.jetledger`)]).toEqual([
        call,
        expect.stringMatching(/no resp/),
      ]);
    expect(await isThere()).toBe(true);
    const replicated = { ...secrets.variablesOf('owner'), JETLEDGER_LOG__REPLICAS: '3' };
    await expect(runInProcess(server, topologyCommand, ['apply'], replicated)).rejects.toThrow(
      /break glass/i,
    );
  }, 30_000);

  it('puts a copy back once the glass is broken, and the guard holds again after it', async () => {
    configs.make('--break-glass');
    await server.reload();
    const { streams } = JSON.parse(await asOwner('STREAM.NAMES')) as { streams: readonly string[] };
    for (const name of streams) expect(await asOwner(`STREAM.DELETE.${name}`)).toMatch(/"success":true/);
    configs.make();
    await server.reload();
    const copy = join(folder, 'copy');
    await expect(as('owner', restoreCommand, copy)).rejects.toThrow(/break glass/i);
    // The ledger of who was forgotten comes before all else, and is of no backup.
    expect(JSON.parse(await asOwner('STREAM.NAMES'))).toMatchObject({ streams: ['KV_jl_forgotten'] });

    configs.make('--break-glass');
    await server.reload();
    expect(await as('owner', restoreCommand, copy)).toMatchObject({ code: 0 });
    configs.make();
    await server.reload();
    expect(await as('operator', verifyCommand, copy, '--live')).toMatchObject({ code: 0 });
    expect(await asOwner('STREAM.DELETE.jetledger')).toMatch(/no responders/);
    expect(await isThere()).toBe(true);
  }, 60_000);
});

it('the projector makes the buckets of the views, in an account that the owner of the log does not see', async () => {
  const missing = await as('operator', topologyCommand, 'plan', '--views', '--json');
  expect(JSON.parse(missing.text)).toMatchObject([{ what: 'bucket jl_views', action: 'create' }]);
  expect((await as('projector', topologyCommand, 'apply', '--views')).code).toBe(0);
  const made = await as('operator', topologyCommand, 'plan', '--views', '--json');
  expect(JSON.parse(made.text)).toMatchObject([{ what: 'bucket jl_views', action: 'none' }]);
  expect(await asOwner('STREAM.INFO.KV_jl_views')).toMatch(/stream not found/);
});
