import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serviceBuild } from '../support/service-build.ts';
import { createDataDir, runCommand } from '../support/service-process.ts';

/** How a command ends whose reader has gone before it writes. */
async function withoutReader(args: readonly string[], which: 'stdout' | 'stderr') {
  const child = spawn(process.execPath, [await serviceBuild(), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, JETLEDGER_ENV: 'test' },
  });
  child[which].destroy();
  let said = '';
  child[which === 'stdout' ? 'stderr' : 'stdout'].on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

describe('jetledger', () => {
  it.each([
    [['servee'], 'there is no command servee; did you mean serve? Try: jetledger help'],
    [['help', 'rebild'], 'there is no command rebild; did you mean rebuild? Try: jetledger help'],
    [['xyzzy'], 'there is no command xyzzy. Try: jetledger help'],
    [
      ['rebuild', '--thottle', '5'],
      'rebuild has no option --thottle; did you mean --throttle? Try: jetledger help rebuild',
    ],
    [['rebuild', 'orderz'], /^There is no view orderz; did you mean orders\? Views: /],
    [['rebuild', 'orders', '--all'], /^Name views or say --all, not both/],
    [['parked', 'discard', '--all'], /say --yes as well/],
  ])('%j is wrong usage: one line, exit code 2', async (args, told) => {
    const { code, stdout, stderr } = await runCommand(args, { JETLEDGER_ENV: 'test' });
    const line = /^jetledger: (.+)\n$/.exec(stderr)?.[1];
    if (typeof told === 'string') expect(line).toBe(told);
    else expect(line).toMatch(told);
    expect([code, stdout]).toEqual([2, '']);
  });

  it.each([
    ['stdout', ['help']],
    ['stdout', ['help', 'parked']],
    ['stdout', ['config']],
    ['stderr', ['config', '--nonsense']],
  ] as const)('ends quietly when nobody reads its %s any more: %j', async (which, args) => {
    const { code, said } = await withoutReader(args, which);
    expect([code, said]).toEqual([which === 'stdout' ? 0 : 2, '']);
  });

  it('says in one line that a data folder cannot be used, exit code 1', async () => {
    await using data = await createDataDir();
    const blocked = join(data.path, 'a-file');
    await writeFile(blocked, '');
    const variables = { ...data.variables, JETLEDGER_NATS__EMBEDDED__DATA_DIR: join(blocked, 'data') };
    for (const args of [['status'], ['parked', 'list']]) {
      const { code, stderr } = await runCommand(args, variables);
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/^jetledger: ENOTDIR: [^\n]*see that the path is right[^\n]*\n$/),
      ]);
    }
  });

  it.each(['*', '*all', '&a [*a, *a]'])(
    'says where a YAML alias stands that cannot be read: %s',
    async (origins) => {
      const folder = await mkdtemp(join(tmpdir(), 'jetledger-config-'));
      try {
        await writeFile(join(folder, 'default.yaml'), `http:\n  cors:\n    origins: ${origins}\n`);
        const { code, stderr } = await runCommand(['config'], {
          JETLEDGER_ENV: 'test',
          JETLEDGER_CONFIG_DIR: folder,
        });
        expect(code).toBe(1);
        expect(stderr).toMatch(/^jetledger: the configuration cannot be used:\n/);
        expect(stderr).not.toMatch(/^ +at /m);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  it('paints nothing where NO_COLOR is set', async () => {
    await using data = await createDataDir();
    const told = await runCommand(['demo'], { ...data.variables, NO_COLOR: '1' });
    expect(told.code).toBe(0);
    expect(told.stdout).not.toContain('\u001b');
  });
});
