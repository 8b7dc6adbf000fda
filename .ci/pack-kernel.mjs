// Packs the kernel alone, as jetledger-<version>.tgz: the doors of package.json, what they import, and nothing else.
//   node .ci/pack-kernel.mjs [folder]   into this folder, or the one given
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { compile, kernelOf } from './kernel.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = resolve(process.argv[2] ?? '.');
const { manifest, doors } = kernelOf(root);
const folder = mkdtempSync(join(tmpdir(), 'jetledger-kernel-'));
const packages = new Set();
/** What only the test kit imports, for whoever has it already. */
const PEERS = {
  '@opentelemetry/context-async-hooks': '2',
  '@opentelemetry/sdk-metrics': '2',
  '@opentelemetry/sdk-trace-base': '2',
  '@types/node': '>=20',
  'fast-check': '4',
  vitest: '4',
};

function keep(path, text) {
  mkdirSync(dirname(join(folder, 'dist', path)), { recursive: true });
  writeFileSync(join(folder, 'dist', path), text);
  if (path.endsWith('.map')) return;
  for (const { fileName } of ts.preProcessFile(text).importedFiles) {
    const [, name] = /^((?:@[\w.-]+\/)?[\w-][\w.-]*)/.exec(fileName) ?? [];
    if (name !== undefined && !fileName.startsWith('node:')) packages.add(name);
  }
}

/** The exact versions that this repository is tested with. */
function dependencies() {
  return Object.fromEntries(
    [...packages].sort().flatMap((name) => {
      if (name in PEERS) return [];
      const version = manifest.dependencies[name];
      if (version === undefined) throw new Error(`${name} is imported by the kernel and is no dependency`);
      return [[name, version]];
    }),
  );
}

try {
  const roots = [...doors, { source: join(root, 'src/generator/jetledger.ts') }];
  compile(root, roots, { sourceMap: true, inlineSources: true }, keep);
  const { name, version, license, type, engines } = manifest;
  const description = 'An event store on NATS JetStream: deciders, projections and reactions in TypeScript.';
  const exports = Object.fromEntries(
    Object.entries(manifest.exports).map(([path, file]) => [
      path,
      file.endsWith('.js') ? { types: file.replace(/js$/, 'd.ts'), default: file } : file,
    ]),
  );
  const own = {
    ...{ name, version, description, license, type, engines, exports, dependencies: dependencies() },
    peerDependencies: PEERS,
    peerDependenciesMeta: Object.fromEntries(Object.keys(PEERS).map((peer) => [peer, { optional: true }])),
    sideEffects: false,
    bin: { [name]: './dist/generator/jetledger.js' },
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  cpSync(join(root, 'examples/service'), join(folder, 'template'), {
    recursive: true,
    filter: (path) => !/\/(node_modules|dist|gen|vendor|\.jetledger)$/.test(path),
  });
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  cpSync(join(root, 'src/ledger/package.md'), join(folder, 'README.md'));
  mkdirSync(target, { recursive: true });
  const packed = spawnSync('npm', ['pack', '--silent', '--pack-destination', target], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (packed.status !== 0) throw new Error(packed.stderr);
  process.stdout.write(`${join(target, packed.stdout.trim())}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
