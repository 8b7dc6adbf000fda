import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOOR = {
  'open.ts': '/** What opening takes. */\nexport interface Options {\n  readonly a: number;\n}\n',
  'index.ts': "export { open } from './own.ts';\n",
  'own.ts':
    "import type { Options } from './open.ts';\n\n/** Opens. */\nexport function open(options: Options): number {\n  return options.a;\n}\n",
};

/** A small package with one door, and what the check of its API says. */
describe('the check of the public API', () => {
  let folder: string;
  const write = (files: Readonly<Record<string, string>>) =>
    Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, 'src/door', name), text)));
  const run = (...args: string[]) => {
    const tool = join(ROOT, '.ci/public-api.mjs');
    const { status, stdout, stderr } = spawnSync(process.execPath, [tool, ...args, folder], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, lines: (stdout + stderr).trim().split('\n') };
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jetledger-api-'));
    await mkdir(join(folder, 'src/door'), { recursive: true });
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2023'],
      types: [],
      allowImportingTsExtensions: true,
      rewriteRelativeImportExtensions: true,
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const manifest = { name: 'planted', type: 'module', exports: { './door': './dist/door/index.js' } };
    await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
    await write(DOOR);
    expect(run().lines).toEqual(['1 exports of 1 doors, 0 problems']);
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('is content with what was reviewed, and with another body or comment', async () => {
    await write({ ...DOOR, 'own.ts': DOOR['own.ts'].replace('return options.a', 'return -options.a') });
    expect(run('--check')).toEqual({ status: 0, lines: ['1 exports of 1 doors, 0 problems'] });
    expect(await readFile(join(folder, 'configs/api/door.api.md'), 'utf8')).toContain('readonly a: number');
  });

  it('names what has changed in what an export is made of, with the cure', async () => {
    await write({
      ...DOOR,
      'open.ts': DOOR['open.ts']
        .replace('a: number', 'a?: number')
        .replace('readonly', 'readonly b: string;\n  readonly'),
    });
    const { status, lines } = run('--check');
    expect(status).toBe(1);
    expect(lines).toContain('planted/door: Options has changed, which may break whoever uses it');
    expect(lines.join()).toContain('npm run api');
  });

  it('names what is gone, and what is exported without a word', async () => {
    await write({
      ...DOOR,
      'own.ts': 'export const other = 1;\n',
      'index.ts': "export { other } from './own.ts';\n",
    });
    const { status, lines } = run('--check');
    expect(status).toBe(1);
    expect(lines).toContain('planted/door: open is gone, which breaks whoever uses it');
    expect(lines).toContain('planted/door: other has no doc comment. Say what it is, in src/door/own.ts');
  });

  it('reports what is marked as internal by name only', async () => {
    await write({ ...DOOR, 'own.ts': DOOR['own.ts'].replace('Opens.', 'Opens. @internal') });
    expect(run('--check').lines[0]).toBe('planted/door: open is gone, which breaks whoever uses it');
  });
});
