import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { connectNats, readAddresses } from '../../../src/platform/nats-connection.ts';

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

it('addresses that name different users are refused, without their passwords', () => {
  const problem = (url: string): string => {
    try {
      natsOf({ NATS_URL: url });
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(problem('nats://me:hunter2@a:1,b:2,tls://me:hunter2@c:3')).toBe('');
  const refused = problem('nats://me:hunter2@a:1,nats://you:hunter2@b:2');
  expect(refused).toMatch(/nats\.url: .*each address must name the same user/s);
  expect(refused).not.toContain('hunter2');
});

it('an address is taken apart into where the server is and how to log in there', () => {
  expect(readAddresses('nats://me:a%40b:c@h:1/,h:2,tls://t%2Fk@[::1]:3,x:100%@h')).toEqual({
    servers: ['nats://h:1/', 'h:2', 'tls://[::1]:3', 'h'],
    logins: [{ user: 'me', pass: 'a@b:c' }, { token: 't/k' }, { user: 'x', pass: '100%' }],
  });
});
