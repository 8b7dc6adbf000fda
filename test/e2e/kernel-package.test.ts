import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, testServerBinary } from '../../src/testing/nats-server.ts';
import { packedKernel } from '../support/kernel-package.ts';
import { node24 } from '../support/node-24.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BOUND_MS = 120_000;
const MOST_SECONDS = 60;
const INSTALL = ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

let folder: string;
let app: string;
let tarball: string;
let script: string;
/** Of `npm install` and of the script, the compiler left out. */
let seconds = 0;
let first: SpawnSyncReturns<string>;
/** Fetched while the package is made and installed. */
let newer: ReturnType<typeof node24>;

const run = (program: string, args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync(program, args, { cwd: app, encoding: 'utf8', timeout: BOUND_MS, env: environment() });

/** Without what npm and the tests of this repository tell their own children, and with the server that they use. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|VITEST)/.test(name));
  return Object.fromEntries(own);
}

const example = async (page: string): Promise<string> =>
  /```ts\n([\s\S]*?)```/.exec(await readFile(join(ROOT, page), 'utf8'))?.[1] ?? '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-package-'));
  app = join(folder, 'app');
  // The server that the tests use is found in the cache, as it would be after a first start.
  const { path, version } = await testServerBinary();
  const cached = join(app, '.jetledger/nats-server', version, 'nats-server');
  await mkdir(dirname(cached), { recursive: true });
  await cp(path, cached);
  script = await example('src/ledger/package.md');
  await writeFile(join(app, 'package.json'), '{ "type": "module", "private": true }');
  await writeFile(join(app, 'farm.ts'), script);
  newer = node24();
  tarball = await packedKernel();
  const from = performance.now();
  const installed = run('npm', [...INSTALL, tarball]);
  seconds = (performance.now() - from) / 1_000;
  expect(installed.status, installed.stderr).toBe(0);
  await symlink(join(ROOT, 'node_modules/@types'), join(app, 'node_modules/@types'));
  const options = [
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--lib',
    'es2023',
    '--strict',
    '--types',
    'node',
    'farm.ts',
  ];
  const compiled = run(process.execPath, [join(ROOT, 'node_modules/@typescript/native/bin/tsc'), ...options]);
  expect(compiled.stdout).toBe('');
  const started = performance.now();
  first = run(process.execPath, ['farm.js']);
  seconds += (performance.now() - started) / 1_000;
}, BOUND_MS);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the package of the kernel', () => {
  it('stores a command and reads its row back in 15 lines, which end by themselves', () => {
    expect(script.trim().split('\n').length).toBeLessThanOrEqual(15);
    expect(first.stderr).toBe('');
    expect(first.status).toBe(0);
    expect(first.stdout).toBe('{ row: { litres: 5 }, position: 1 }\n');
  });

  it(`takes less than ${MOST_SECONDS} s from its installation to the first stored command`, async ({
    annotate,
  }) => {
    await annotate(`${seconds.toFixed(1)} s`);
    expect(seconds).toBeLessThan(MOST_SECONDS);
  });

  it('runs on Node.js 24, where npm has it', async ({ skip, annotate }) => {
    const found = await newer;
    if ('missing' in found) {
      await annotate(found.missing);
      return skip(found.missing);
    }
    // The same command again: it is answered from the log.
    const again = run(found.program, ['farm.js']);
    expect(again.stderr).toBe('');
    expect(again.stdout).toBe('{ row: { litres: 5 }, position: 1 }\n');
  });

  it('is small: under 1.2 MB, with at most six dependencies, and nothing that runs at its installation', async () => {
    expect((await stat(tarball)).size).toBeLessThan(1_200_000);
    const manifest = JSON.parse(await readFile(join(app, 'node_modules/jetledger/package.json'), 'utf8'));
    expect(Object.keys(manifest.dependencies)).toEqual([
      '@bufbuild/protobuf',
      '@nats-io/jetstream',
      '@nats-io/transport-node',
      '@opentelemetry/api',
      'libsql',
    ]);
    expect(Object.keys(manifest.peerDependencies)).toEqual(Object.keys(manifest.peerDependenciesMeta));
    expect(Object.values(manifest.peerDependenciesMeta)).not.toContainEqual({ optional: false });
    expect(manifest).not.toHaveProperty('scripts');
    expect(manifest).toMatchObject({ name: 'jetledger', type: 'module', license: 'Apache-2.0' });
  });

  it('holds the kernel with its types and sources, and nothing of the shop or of our tests', async () => {
    const root = join(app, 'node_modules/jetledger');
    const files = (await readdir(root, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
    const kernel =
      /^dist\/(eventstore|projections\/engine|processes\/engine|ledger|testing|generator|gen\/jetledger\/(eventstore|options)|platform\/(nats-server|nats-connection|nats-monitor|new-log|durability|mask-url|config\/environment))\b.*\.(js|js\.map|d\.ts)$/;
    const template = files.filter((file) => file.startsWith('template/'));
    expect(template).toEqual(expect.arrayContaining(['template/package.json', 'template/src/service.ts']));
    expect(template.filter((file) => /node_modules|src\/gen|\.tgz$/.test(file))).toEqual([]);
    expect(files.filter((file) => !kernel.test(file) && !template.includes(file)).sort()).toEqual([
      'LICENSE',
      'README.md',
      'package.json',
    ]);
    for (const door of ['ledger', 'eventstore', 'projections/engine', 'processes/engine', 'testing'])
      expect(files).toEqual(
        expect.arrayContaining([
          `dist/${door}/index.js`,
          `dist/${door}/index.d.ts`,
          `dist/${door}/index.js.map`,
        ]),
      );
    // What its sources say is judged by the rules of the sources; here is what only a build could bring in.
    // Templates, and the generator, which writes such lines, are no part of what a service loads.
    for (const file of files.filter((name) => /^dist\/(?!generator).*\.js$/.test(name))) {
      const [, from = ''] =
        /from '(pino|fastify|typebox|yaml|vitest)/.exec(await readFile(join(root, file), 'utf8')) ?? [];
      expect(from, file).toBe(
        file.startsWith('dist/testing/contracts/') && from === 'vitest' ? 'vitest' : '',
      );
    }
  });

  it('offers its example to who reads the guide, word for word', async () => {
    expect(await example('docs/kernel.md')).toBe(script);
  });

  it('makes nothing in production, and names the command that does', async () => {
    await using server = await startTestServer({ syncAlways: true });
    const nats = `{ url: '${server.url}', monitorUrls: '${server.monitorUrl}', allowInsecure: true }`;
    await writeFile(
      join(app, 'production.js'),
      `import { openLedger } from 'jetledger';
       const settings = { production: true };
       await openLedger({ nats: ${nats}, prefix: 'farm', aggregates: [], settings })
         .then((ledger) => ledger.close().then(() => console.log('opened')), (error) => console.log(error.message));`,
    );
    const refused = run(process.execPath, ['production.js']).stdout;
    expect(refused).toContain('The server has no stream farm. Make it once');
    const [, code = ''] = /node -e "(.*)"/.exec(refused) ?? [];
    const made = run(process.execPath, ['-e', code.replace('nats://...', server.url)]);
    expect(made.stderr).toBe('');
    expect(run(process.execPath, ['production.js']).stdout).toBe('opened\n');
  });
});
