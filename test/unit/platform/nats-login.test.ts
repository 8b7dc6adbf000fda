import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { connectNats } from '../../../src/platform/nats-connection.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-login-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const natsOf = (env: Readonly<Record<string, string>>) => loadConfig({ env, dir: configDir({}) }).nats;
const connectWith = (path: string) =>
  connectNats('nats://127.0.0.1:1', natsOf({ JETLEDGER_NATS__NKEY_SEED_FILE: path }), 'test');

it('a seed file that is missing, or holds no seed of a user, is named, and never what is in it', async () => {
  await expect(connectWith(join(folder, 'missing.nk'))).rejects.toThrow(
    /nats\.nkeySeedFile: .*missing\.nk.*ENOENT/,
  );
  const path = join(folder, 'account.nk');
  await writeFile(path, 'SAAGSECRETOFANACCOUNTANDNOTOFAUSERAAAAAAAAAAAAAAAAAAAAAAAAA\n');
  const refused = await connectWith(path).then(
    () => '',
    (error: Error) => error.message,
  );
  expect(refused).toContain('npm run nats:users');
  expect(refused).not.toContain('SAAG');
});

it('two ways to log in are refused at the start', () => {
  const env = { JETLEDGER_NATS__NKEY_SEED_FILE: 'a.nk', JETLEDGER_NATS__CREDS_FILE: 'b.creds' };
  expect(() => natsOf(env)).toThrow(/nats\.token: .*one way to log in only/s);
});
