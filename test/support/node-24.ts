import { spawnSync } from 'node:child_process';
import { access, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../.jetledger/node-24', import.meta.url));
const BOUND_MS = 60_000;

/** The program of Node.js 24, from npm's packages of it, kept for the next run; or why it cannot be had. */
export async function node24(): Promise<{ readonly program: string } | { readonly missing: string }> {
  const name = `node-${process.platform}-${process.arch}`;
  const program = `${FOLDER}/node_modules/${name}/bin/node`;
  const isThere = () =>
    access(program).then(
      () => true,
      () => false,
    );
  if (await isThere()) return { program };
  await mkdir(FOLDER, { recursive: true });
  const args = ['install', '--prefix', FOLDER, '--ignore-scripts', '--no-audit', '--no-fund', `${name}@24`];
  const { stderr } = spawnSync('npm', args, { cwd: FOLDER, encoding: 'utf8', timeout: BOUND_MS });
  return (await isThere()) ? { program } : { missing: stderr?.trim().split('\n')[0] ?? 'npm did not end' };
}
