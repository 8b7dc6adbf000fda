import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { madeOf, readFiles } from './made-once.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['src', '.ci', 'examples/service'];
const FILES = ['package.json', 'tsconfig.json', 'LICENSE'];

/** The kernel as `npm run pack:kernel` packs it, made once per state of the sources. @returns the path of its tarball */
export async function packedKernel(): Promise<string> {
  const folders = await Promise.all(FOLDERS.map((folder) => readFiles(folder, '')));
  const files = await Promise.all(FILES.map((file) => readFile(join(ROOT, file), 'utf8')));
  const { PATH, HOME } = process.env;
  const pack = (draft: string) =>
    promisify(execFile)(process.execPath, [join(ROOT, '.ci/pack-kernel.mjs'), draft], {
      env: { PATH, HOME },
    });
  const folder = await madeOf(['kernel', folders, files], async (draft) => void (await pack(draft)));
  const [tarball = ''] = await readdir(folder);
  return join(folder, tarball);
}
