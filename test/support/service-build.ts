import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
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
 * files; only translated (2 s), since the types are checked elsewhere. Nothing of the project's `dist` or data is touched.
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
    await readFiles(CONSOLE, ''),
    await readFile(join(ROOT, 'package.json'), 'utf8'),
    await readFile(join(ROOT, 'tsconfig.json'), 'utf8'),
  ];
  return madeOf([sources, programs, shared], (draft) => fill(draft, sources, programs));
}

async function fill(draft: string, sources: Sources, programs: Sources): Promise<void> {
  await translate(sources, join(draft, 'dist'));
  await translate(programs, join(draft, 'test'));
  await run(process.execPath, [join(ROOT, 'configs/console.mjs'), join(draft, 'dist/api/console')]);
  await bundleTypebox(join(draft, 'node_modules/typebox'));
  // What programs import as `src` is the service's own code, and the server program is the one that was fetched.
  await symlink('dist', join(draft, 'src'));
  await symlink(join(ROOT, '.jetledger'), join(draft, '.jetledger'));
  // Copies, as the sources are: what runs for minutes starts again what it started.
  for (const name of ['package.json', 'configs'])
    await cp(join(ROOT, name), join(draft, name), { recursive: true });
}

async function translate(sources: Sources, outDir: string): Promise<void> {
  const { default: ts } = await import('typescript');
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  // A single file does not show that its package is one of ES modules, so that is said here.
  const modules = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const compilerOptions = { ...options, ...modules, noEmit: false, incremental: false };
  for (const [path, text] of sources) {
    const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: join(ROOT, 'src', path) });
    const file = join(outDir, path.replace(/\.ts$/, '.js'));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, outputText);
  }
}

/** The same code in 16 files: to load its 680 took a third of the time of every command that a test runs. */
async function bundleTypebox(target: string): Promise<void> {
  const source = join(ROOT, 'node_modules/typebox');
  const manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as TypeboxManifest;
  const doors = Object.entries(manifest.exports).map(([door, { default: path }]) => {
    return { door, name: door === '.' ? 'index' : door.slice(2), path: join(source, path) };
  });
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({ input: Object.fromEntries(doors.map(({ name, path }) => [name, path])) });
  await bundle.write({ dir: target, entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' });
  await bundle.close();
  const exports = Object.fromEntries(doors.map(({ door, name }) => [door, `./${name}.mjs`]));
  await writeFile(join(target, 'package.json'), JSON.stringify({ ...manifest, exports }));
}

interface TypeboxManifest {
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
}
