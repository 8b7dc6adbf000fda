import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { madeOnce } from './made-once.ts';

const NAME = `node-${process.platform}-${process.arch}`;
const FOLDER = fileURLToPath(new URL(`../../.jetledger/${NAME}-24`, import.meta.url));
const BOUND_MS = 60_000;

/** The program of Node.js 24, from npm's packages of it, kept for the next run; or why it cannot be had. */
export async function node24(): Promise<{ readonly program: string } | { readonly missing: string }> {
  const install = async (draft: string): Promise<void> => {
    const args = ['install', '--prefix', draft, '--ignore-scripts', '--no-audit', '--no-fund', `${NAME}@24`];
    await promisify(execFile)('npm', args, { cwd: draft, timeout: BOUND_MS });
  };
  try {
    await madeOnce(FOLDER, install);
    return { program: `${FOLDER}/node_modules/${NAME}/bin/node` };
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return { missing: line };
  }
}
