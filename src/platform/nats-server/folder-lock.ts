import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DataFolderInUse } from './errors.ts';
import { isAlive, startTimeOf } from './process-info.ts';

/** A data folder that belongs to this process until it is released. */
export interface FolderLock {
  release(): Promise<void>;
}

const MARK = /^lock-(\d+)-(\d+)$/;
const ATTEMPTS = 4;

/**
 * Makes this process the owner of `dataDir`. Each contender first leaves a mark that names it (process id and start
 * time) and then looks for others: of two, the later one always sees the earlier, so there are never two owners, and
 * marks of dead processes can be removed by anybody. Sees processes of this machine (and container) only.
 *
 * @throws DataFolderInUse when a live process owns it
 */
export async function lockFolder(dataDir: string): Promise<FolderLock> {
  const own = `lock-${process.pid}-${startTimeOf(process.pid)}`;
  for (let attempt = 1; ; attempt++) {
    await leaveMark(dataDir, own);
    const { rival, dead } = await otherMarks(dataDir, own);
    await Promise.all(dead.map((name) => rm(join(dataDir, name), { force: true })));
    if (rival === undefined) {
      return { release: () => rm(join(dataDir, own), { force: true }) };
    }
    await rm(join(dataDir, own), { force: true });
    // Two that start in the same instant see each other: both step back, and chance lets one go first.
    if (attempt === ATTEMPTS) throw new DataFolderInUse(dataDir, rival);
    await delay(10 + Math.random() * 40 * attempt);
  }
}

async function leaveMark(dataDir: string, own: string): Promise<void> {
  try {
    await (await open(join(dataDir, own), 'wx', 0o600)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new DataFolderInUse(dataDir, process.pid);
    throw error;
  }
}

async function otherMarks(
  dataDir: string,
  own: string,
): Promise<{ rival: number | undefined; dead: string[] }> {
  const dead: string[] = [];
  let rival: number | undefined;
  for (const name of await readdir(dataDir)) {
    const match = MARK.exec(name);
    if (match === null || name === own) continue;
    const pid = Number(match[1]);
    if (isAlive(pid) && startTimeOf(pid) === match[2]) rival = pid;
    else dead.push(name);
  }
  return { rival, dead };
}
