// Checks that src/gen, the generated code of the examples and proto/baseline.binpb are what the protos say, by making all
// of it anew in a temporary folder.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const problems = [];

function buf(cwd, ...args) {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH ?? ''}` };
  const { status, stderr } = spawnSync(join(bin, 'buf'), args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) problems.push(`buf ${args[0]} failed: ${stderr}`);
}

/** Paths of all files below a folder, relative to it. */
function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'README.md')
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

function compareFolders(expected, actual, shown) {
  const names = new Set([...filesOf(expected), ...filesOf(actual)]);
  for (const name of [...names].sort()) {
    if (contentOf(join(expected, name)) !== contentOf(join(actual, name))) {
      problems.push(`${shown}/${name} is not what its proto says. Run: npm run generate`);
    }
  }
}

function contentOf(path) {
  try {
    return readFileSync(path, 'base64');
  } catch {
    return undefined;
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'jetledger-gen-'));
try {
  cpSync(join(root, 'proto'), join(scratch, 'proto'), { recursive: true });
  buf(join(scratch, 'proto'), 'generate');
  cpSync(join(root, 'examples'), join(scratch, 'examples'), {
    recursive: true,
    filter: (path) => !path.endsWith('_pb.ts'),
  });
  buf(join(scratch, 'examples'), 'generate');
  buf(scratch, 'build', 'proto', '--exclude-source-info', '-o', 'now.binpb');
  if (problems.length === 0) {
    compareFolders(join(scratch, 'src', 'gen'), join(root, 'src', 'gen'), 'src/gen');
    compareFolders(join(scratch, 'examples'), join(root, 'examples'), 'examples');
    if (contentOf(join(scratch, 'now.binpb')) !== contentOf(join(root, 'proto', 'baseline.binpb'))) {
      problems.push('proto has changes that proto/baseline.binpb does not know. Run: npm run proto:accept');
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exit(problems.length > 0 ? 1 : 0);
