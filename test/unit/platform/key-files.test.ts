import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { loadMasterKeys } from '../../../src/platform/key-files.ts';

const [FIRST, SECOND] = ['b2'.repeat(32), 'c3'.repeat(32)];
const EMAIL_KEY = { JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32) };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-keys-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const load = async (variables: Record<string, string>): Promise<readonly string[]> => {
  const env = { JETLEDGER_NATS__EMBEDDED__DATA_DIR: join(folder, 'data'), ...variables };
  const keys = await loadMasterKeys(loadConfig({ env, dir: configDir(env) }));
  return keys.map((key) => Buffer.from(key).toString('hex'));
};

describe('master keys', () => {
  it('are those that are given, the one that wraps first, also in a file', async () => {
    const file = join(folder, 'keys');
    await writeFile(file, `${FIRST}\n${SECOND}\n`);
    expect(await load({ JETLEDGER_PRIVACY__MASTER_KEYS: `${FIRST}, ${SECOND}` })).toEqual([FIRST, SECOND]);
    expect(await load({ JETLEDGER_PRIVACY__MASTER_KEY_FILE: file })).toEqual([FIRST, SECOND]);
  });

  it('are what a program prints within 10 s; where it fails, what it complains of is told and what it printed is not', async () => {
    const program = join(folder, 'vault.mjs');
    await writeFile(
      program,
      'const [, , key, code] = process.argv; console.log(key); console.error("sealed"); process.exit(+code);',
    );
    const printing = (key: string, code: string) =>
      load({ JETLEDGER_PRIVACY__MASTER_KEY_COMMAND: `${process.execPath} ${program} ${key} ${code}` });
    expect(await printing(FIRST, '0')).toEqual([FIRST]);
    await expect(printing('nothing', '0')).rejects.toThrow('does not hold master keys');
    const failed = printing('c0ffee', '3').catch(({ message }: Error) => message.replace(/ c0ffee 3/, ''));
    expect(await failed).toMatch(/privacy\.masterKeyCommand\) fails \(3\)\. sealed$/);
    expect(await failed).not.toContain('c0ffee');
    await expect(load({ JETLEDGER_PRIVACY__MASTER_KEY_COMMAND: join(folder, 'no-such') })).rejects.toThrow(
      'ENOENT',
    );
  });

  it('are made once and kept beside the data, so that every start has the same', async () => {
    const [made] = await load({});
    expect(made).toMatch(/^[0-9a-f]{64}$/);
    expect(await load({})).toEqual([made]);
    expect(await readFile(join(folder, 'data', 'master.key'), 'utf8')).toBe(`${made}\n`);
  });

  it('follow from an e-mail key that is given, for ever the same, and do not tell it', async () => {
    const derived = '87a7f8213a9a73eb9e265e50e9c6ba9f781a25062858fe1077d572e558e85efb';
    expect(await load(EMAIL_KEY)).toEqual([derived]);
  });

  it('are none in production unless given', async () => {
    const production = {
      ...{
        JETLEDGER_ENV: 'production',
        JETLEDGER_SERVICE__ROLES: 'projections',
        NATS_URL: 'tls://nats:4222',
      },
      ...{ JETLEDGER_NATS__NKEY_SEED_FILE: '/run/secrets/user', ...EMAIL_KEY },
    };
    expect(await load(production)).toEqual([]);
  });

  it('are refused by the name of what holds them: another length, nothing, a file that is not there, two places', async () => {
    const file = join(folder, 'bad');
    await writeFile(file, `${FIRST}\n${SECOND.slice(2)}\n`);
    await expect(load({ JETLEDGER_PRIVACY__MASTER_KEY_FILE: file })).rejects.toThrow(`${file} does not hold`);
    await writeFile(file, '\n');
    await expect(load({ JETLEDGER_PRIVACY__MASTER_KEY_FILE: file })).rejects.toThrow(`${file} does not hold`);
    const gone = join(folder, 'gone');
    await expect(load({ JETLEDGER_PRIVACY__MASTER_KEY_FILE: gone })).rejects.toThrow(`${gone} (privacy`);
    await expect(load({ JETLEDGER_PRIVACY__MASTER_KEYS: 'b2' })).rejects.toThrow('privacy.masterKeys');
    const both = { JETLEDGER_PRIVACY__MASTER_KEYS: FIRST, JETLEDGER_PRIVACY__MASTER_KEY_FILE: file };
    await expect(load(both)).rejects.toThrow('one place');
  });
});
