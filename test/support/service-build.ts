import { execFile } from 'node:child_process';
import { cp, readFile, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { madeOf, readFiles, type Sources } from './made-once.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What `configs/console.mjs` bundles. */
const CONSOLE = 'src/api/console';
/** Folders of what tests start as processes of their own, and of all that these import. */
const PROGRAMS = ['audit', 'integration', 'kill-steps', 'support'];

let built: Promise<string> | undefined;

/**
 * The service as `npm run build` emits it, in a package folder of its own: tests run plain Node on plain JavaScript, as
 * users do, and start twice as fast as through a loader. Made once per state of the sources and shared by all test
 * files; only translated (1 s), since the types are checked elsewhere. Nothing of the project's `dist` or data is touched.
 * @returns the path of its `jetledger.js`
 */
export async function serviceBuild(): Promise<string> {
  built ??= build();
  return join(await built, 'dist/cli/jetledger.js');
}

/**
 * The translation of a file of `test` that tests start as a process of its own, beside the service's.
 * @param source as `new URL('name.ts', import.meta.url)`
 */
export async function testProgram(source: URL): Promise<string> {
  built ??= build();
  return join(await built, relative(ROOT, fileURLToPath(source)).replace(/\.ts$/, '.js'));
}

async function build(): Promise<string> {
  const sources = (await readFiles('src', '.ts')).filter(([path]) => !path.startsWith('api/console/'));
  const programs = (await readFiles('test', '.ts')).filter(
    ([path]) => PROGRAMS.includes(path.split('/')[0] ?? '') && !path.endsWith('.test.ts'),
  );
  const shared = [
    await readFiles('configs', '.yaml'),
    await readFiles('configs', '.mjs'),
    await readFiles(CONSOLE, ''),
    await readFile(join(ROOT, 'package.json'), 'utf8'),
    await readFile(join(ROOT, 'tsconfig.json'), 'utf8'),
  ];
  return madeOf([sources, programs, shared], (draft) => fill(draft, sources, programs));
}

async function fill(draft: string, sources: Sources, programs: Sources): Promise<void> {
  const paths = (folder: string, files: Sources) => files.map(([path]) => join(ROOT, folder, path));
  await translate([...paths('src', sources), ...paths('test', programs)], draft);
  // What programs import as `src` is the service's own code, and the server program is the one that was fetched.
  await symlink('src', join(draft, 'dist'));
  await symlink(join(ROOT, '.jetledger'), join(draft, '.jetledger'));
  await run(process.execPath, [join(ROOT, 'configs/console.mjs'), join(draft, 'dist/api/console')]);
  await run(process.execPath, [join(ROOT, 'configs/program.mjs'), join(draft, 'dist')]);
  // Copies, as the sources are: what runs for minutes starts again what it started.
  for (const name of ['package.json', 'configs'])
    await cp(join(ROOT, name), join(draft, name), { recursive: true });
}

/** Each file by itself, as `tsc` does. */
async function translate(input: string[], dir: string): Promise<void> {
  const { rolldown } = await import('rolldown');
  const transform = { target: 'es2023' };
  const bundle = await rolldown({ input, platform: 'node', external: /^[^./]/, treeshake: false, transform });
  await bundle.write({ dir, preserveModules: true, preserveModulesRoot: ROOT, entryFileNames: '[name].js' });
  await bundle.close();
}
