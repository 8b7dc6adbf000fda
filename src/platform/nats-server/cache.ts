import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { compareVersions, isAtLeast, MINIMUM_VERSION, readVersion, type ServerBinary } from './version.ts';

const PROGRAM = 'nats-server';
const VERSION_FOLDER = /^\d+\.\d+\.\d+$/;
const TEMPORARY = '.unpacking-';
const ABANDONED_AFTER_MS = 60 * 60 * 1_000;

/** The newest usable server in the cache; undefined when there is none. */
export async function findCached(cacheDir: string): Promise<ServerBinary | undefined> {
  const folders = (await readdir(cacheDir).catch(() => []))
    .filter((name) => VERSION_FOLDER.test(name) && isAtLeast(name, MINIMUM_VERSION))
    .sort((a, b) => compareVersions(b, a));
  for (const folder of folders) {
    const path = join(cacheDir, folder, PROGRAM);
    const version = await readVersion(path).catch(() => undefined);
    if (version !== undefined && isAtLeast(version, MINIMUM_VERSION)) return { path, version };
  }
  return undefined;
}

/**
 * Lets `fetch` put a server program somewhere into a scratch folder and moves it into the cache in one step, so that
 * processes that do this at the same time never see half a program: the first one wins, the others use its copy.
 *
 * @param fetch gets the scratch folder and answers the path of the program in it
 * @throws whatever `fetch` throws, or an `Error` when the program does not run or is too old
 */
export async function addToCache(
  cacheDir: string,
  fetch: (scratch: string) => Promise<string>,
): Promise<ServerBinary> {
  await removeAbandoned(cacheDir);
  const scratch = join(cacheDir, `${TEMPORARY}${randomBytes(6).toString('hex')}`);
  const parcel = join(scratch, 'parcel');
  await mkdir(parcel, { recursive: true });
  try {
    const program = await fetch(scratch);
    const version = await readVersion(program);
    if (!isAtLeast(version, MINIMUM_VERSION)) {
      throw new Error(`it is version ${version}, and ${MINIMUM_VERSION} or later is needed`);
    }
    await rename(program, join(parcel, PROGRAM));
    return { path: await publish(parcel, join(cacheDir, version)), version };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function publish(parcel: string, target: string): Promise<string> {
  const path = join(target, PROGRAM);
  try {
    await rename(parcel, target);
  } catch (error) {
    // A folder that is there and not empty: another process was faster.
    await access(path).catch(() => {
      throw error;
    });
  }
  return path;
}

async function removeAbandoned(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir).catch(() => [])) {
    if (!name.startsWith(TEMPORARY)) continue;
    const path = join(cacheDir, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > ABANDONED_AFTER_MS) await rm(path, { recursive: true, force: true });
  }
}
