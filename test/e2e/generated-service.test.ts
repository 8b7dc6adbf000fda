import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { packedKernel } from '../support/kernel-package.ts';
import { linkPackages } from '../support/link-packages.ts';
import { node24 } from '../support/node-24.ts';
import { type Background, freePort, inBackground, matches, type Step, stepsOf } from './tutorial.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BOUND_MS = 240_000;
const FEWEST_FILES = 60;
const MAKES_IT = 'jetledger new service library --aggregate room';

let folder: string;
let service: string;
let port: number;
let running: Background | undefined;
/** Fetched while the package and the service are made. */
let newer: ReturnType<typeof node24>;

/** With the port of this run, and `npx` that knows the package without a registry. */
const environment = (): Record<string, string> => {
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_|VITEST|NATS_)/.test(name));
  const PATH = `${join(folder, 'bin')}:${process.env.PATH ?? ''}`;
  return { ...Object.fromEntries(own.map(([name, value]) => [name, value ?? ''])), PATH, PORT: `${port}` };
};

function run(program: string, args: readonly string[], cwd = service): string {
  const options = { cwd, encoding: 'utf8', timeout: BOUND_MS, env: environment() } as const;
  const { status, stdout, stderr } = spawnSync(program, args, options);
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}

const jetledger = (args: readonly string[], cwd = service) =>
  spawnSync('npx', ['jetledger', ...args], { cwd, encoding: 'utf8', env: environment() });

/** What `npm install` makes of the service's package.json, of the packages that are here: the same versions. */
async function install(): Promise<void> {
  const { dependencies, devDependencies } = JSON.parse(await readFile(join(service, 'package.json'), 'utf8'));
  const here = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  // What is installed under another name than its own (`"@typescript/native": "npm:typescript@..."`), under its own.
  const versions: [string, string][] = Object.entries({ ...here.devDependencies, ...here.dependencies });
  const all = Object.fromEntries(
    versions.map(([name, version]) => /^npm:(.+)@(.+)$/.exec(version)?.slice(1) ?? [name, version]),
  );
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
    if (name !== 'jetledger') expect([name, version]).toEqual([name, all[name]]);
  await linkPackages(service);
  const modules = join(service, 'node_modules');
  await symlink(join(folder, 'package'), join(modules, 'jetledger'));
  await writeFile(join(modules, '.installed'), '');
  const { path, version } = await testServerBinary();
  const cached = join(service, '.jetledger/nats-server', version, 'nats-server');
  await mkdir(dirname(cached), { recursive: true });
  await cp(path, cached);
}

/** Without a registry: `npx jetledger` runs the packed package, as it would after its download. */
async function provideNpx(): Promise<void> {
  const program = join(folder, 'bin/npx');
  const command = join(folder, 'package/dist/generator/jetledger.js');
  await mkdir(dirname(program));
  const script = `#!/bin/sh\nwhile [ "$1" != jetledger ]; do shift; done\nshift\nexec node '${command}' "$@"\n`;
  await writeFile(program, script);
  await chmod(program, 0o755);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-generated-'));
  service = join(folder, 'library');
  port = await freePort();
  newer = node24();
  const tarball = await packedKernel();
  await cp(tarball, join(folder, basename(tarball)));
  run('tar', ['xzf', tarball, '-C', folder], folder);
  await symlink(join(ROOT, 'node_modules'), join(folder, 'package/node_modules'));
  await provideNpx();
}, BOUND_MS);
afterAll(async () => {
  await running?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the lines of a block, in the service once there is one. */
function shell(code: string): string {
  const lines = code.replaceAll('localhost:3000', `localhost:${port}`);
  return run('bash', ['-euo', 'pipefail', '-c', lines]).replaceAll('\r', '');
}

async function follow({ kind, code, path }: Step): Promise<string> {
  if (kind === 'file') {
    await mkdir(dirname(join(service, path)), { recursive: true });
    await writeFile(join(service, path), code);
  } else if (kind === 'background') running = await inBackground(code, service, environment());
  else if (kind === 'ctrl-c') await running?.stop();
  else if (!code.includes(MAKES_IT)) return shell(code);
  else {
    const [first = '', , ...rest] = code.split('\n');
    const made = run('bash', ['-euc', first], folder);
    await install();
    return made + shell(rest.join('\n'));
  }
  return '';
}

describe('the tutorial', () => {
  it(
    'leads to a service that closes the room of a dangerous fault, each step as it says',
    async () => {
      const steps = stepsOf(await readFile(join(ROOT, 'docs/tutorial.md'), 'utf8'));
      expect(steps.filter(({ kind }) => kind === 'file').length).toBeGreaterThan(6);
      let said = '';
      for (const step of steps) {
        if (step.kind === 'output') expect(said, step.code).toMatch(matches(step.code));
        else said = await follow(step);
      }
    },
    2 * BOUND_MS,
  );
});

describe('a generated service', () => {
  it(`has fewer than ${FEWEST_FILES} files, and none of the words of the template`, async () => {
    const name = 'plain';
    expect(jetledger(['new', 'service', name, '--aggregate', 'entry'], folder)).toMatchObject({ status: 0 });
    const entries = await readdir(join(folder, name), { recursive: true, withFileTypes: true });
    const files = entries
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, name).length + 1))
      .filter((path) => !path.startsWith('vendor/'));
    expect(files.length).toBeLessThan(FEWEST_FILES);
    expect(files).toContain('.gitignore');
    for (const path of files)
      expect(await readFile(join(folder, name, path), 'utf8'), path).not.toMatch(/starter|\btasks?\b/i);
  });

  it(
    'passes its tests with an aggregate, a view and a reaction more, as they are made, and of a proto that was there',
    async () => {
      const proto = join(service, 'proto/library/loan/v1/loan.proto');
      await mkdir(dirname(proto), { recursive: true });
      await writeFile(proto, LOAN);
      for (const part of [
        ['aggregate', 'invoice'],
        ['view', 'late-invoices', '--of', 'invoice'],
        ['reaction', 'remind', '--of', 'invoice'],
        ['aggregate', 'loan'],
      ]) {
        const { status, stderr } = jetledger(['new', ...part]);
        expect([part, status, stderr]).toEqual([part, 0, '']);
      }
      run('make', ['golden']);
      const told = run('make', ['test']);
      for (const name of ['invoice', 'late-invoices', 'remind', 'loan'])
        expect(told).toContain(`test/${name}.test.ts`);
      expect(await readdir(join(service, 'test/golden/loan'))).toEqual([
        'LoanBegun.v1.json',
        'LoanEnded.v1.json',
      ]);
    },
    BOUND_MS,
  );

  it(
    'answers over HTTP on Node.js 24, where npm has it, and else on the Node that runs',
    async ({ annotate }) => {
      run('npm', ['run', '--silent', 'build']);
      const found = await newer;
      if ('missing' in found) await annotate(found.missing);
      const program = 'missing' in found ? process.execPath : found.program;
      const url = `http://localhost:${port}`;
      const headers = { 'content-type': 'application/json', 'idempotency-key': 'one' };
      const send = (body: object) =>
        fetch(`${url}/v1/loans/l1/LoanBegun`, { method: 'POST', headers, body: JSON.stringify(body) });
      await using _running = await inBackground(`'${program}' dist/main.js`, service, environment());
      expect((await send({ reader: 'ada' })).status).toBe(200);
      expect((await send({ reader: 'ada', no: 1 })).status).toBe(400);
      const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: object };
      expect(JSON.stringify(paths)).toContain('"copies":{"type":"array"');
    },
    BOUND_MS,
  );

  it('is not overwritten, and says what is wrong with a name', () => {
    const refusals = [
      [['new', 'service', 'library'], folder, 'library is there already'],
      [['new', 'aggregate', 'invoice'], service, 'src/domain/invoice.ts is there already'],
      [['new', 'aggregate', 'Order-Line'], service, '"Order-Line" is no name of an aggregate'],
      [['new', 'view', 'late invoices'], service, '"late invoices" is no name of a view'],
      [['new', 'view', 'other', '--of', 'nosuch'], service, 'there is no aggregate nosuch'],
      [['new', 'table', 'x'], service, 'there is no "table" to be made'],
      [['new', 'view', 'x'], folder, 'is no service of JetLedger'],
      [['new'], service, 'Usage: jetledger new'],
    ] as const;
    for (const [args, cwd, message] of refusals) {
      const { status, stderr } = jetledger(args, cwd);
      expect([status, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});

const LOAN = `syntax = "proto3";

package library.loan.v1;

message LoanBegun {
  string reader = 1;
  repeated Copy copies = 2;
}

message LoanEnded {
  int64 ended_at = 1;
}

message Copy {
  string book = 1;
}
`;
