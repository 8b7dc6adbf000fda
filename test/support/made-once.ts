import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../../src/testing/until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MADE = join(ROOT, 'node_modules/.cache/jetledger-tests');
const UNUSED_MS = 3_600_000;
const TURN_MS = 60_000;

/** Texts of this repository, by their paths. */
export type Sources = readonly (readonly [path: string, text: string])[];

/** The files below a folder of this repository whose names end like that, by their paths in the folder. */
export async function readFiles(folder: string, ending: string): Promise<Sources> {
  const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath, entry.name).slice(join(ROOT, folder).length + 1));
  const read = async (path: string) => [path, await readFile(join(ROOT, folder, path), 'utf8')] as const;
  return Promise.all(paths.sort().map(read));
}

/**
 * A folder that is made of something: once per state of it, for all processes of tests and for the next run. What nobody
 * has made for an hour is removed.
 * @param of all that it is made of, as JSON
 * @param make fills a draft, which is a new folder
 * @returns its path
 */
export async function madeOf(of: unknown, make: (draft: string) => Promise<void>): Promise<string> {
  const target = join(MADE, createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 16));
  if (!(await exists(target))) await removeUnused();
  await madeOnce(target, make);
  return target;
}

/** Makes a folder, whole or not at all, unless it is there: one process makes it and the others wait. */
export async function madeOnce(target: string, make: (draft: string) => Promise<void>): Promise<void> {
  if (await exists(target)) return;
  const [parent, name] = [dirname(target), basename(target)];
  await mkdir(parent, { recursive: true });
  const turn = join(parent, `.${name}-turn`);
  const over = async () => (await exists(target)) || !(await exists(turn));
  // If the one that makes it was killed, each of the others makes it in the end.
  if (!(await isNew(turn))) await until(`${name} is made`, over, TURN_MS).catch(() => undefined);
  if (await exists(target)) return;
  const draft = join(parent, `.${name}-${randomUUID()}`);
  try {
    await mkdir(draft);
    await make(draft);
    // Of two that are made at once, one is taken.
    await rename(draft, target).catch(() => undefined);
  } finally {
    await rm(draft, { recursive: true, force: true });
    await rm(turn, { recursive: true, force: true });
  }
}

/** Makes a folder; false when somebody else has made it. */
function isNew(folder: string): Promise<boolean> {
  return mkdir(folder).then(
    () => true,
    () => false,
  );
}

async function removeUnused(): Promise<void> {
  for (const name of await readdir(MADE).catch(() => [])) {
    const path = join(MADE, name);
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
    if (age > UNUSED_MS) await rm(path, { recursive: true, force: true });
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
