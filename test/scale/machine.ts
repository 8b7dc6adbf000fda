import { readdir, readFile, stat } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { testServerBinary } from '../../src/testing/nats-server.ts';

const MIB = 1024 ** 2;

/** Resident memory of a process in MiB, from `/proc`; undefined where there is none. */
export async function residentMiB(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kib === undefined ? undefined : Number(kib) / 1024;
}

/** CPU that a process has used so far, all of its threads, in milliseconds; as good as the scheduler's own counting. */
export async function processorMs(pid: number): Promise<number> {
  let nanoseconds = 0;
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const used = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0');
    nanoseconds += Number(used.split(' ')[0]);
  }
  return nanoseconds / 1e6;
}

/** Disk blocks that the files of a folder take, in MiB. */
export async function diskMiB(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    // A server that runs may have removed it meanwhile.
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += (found?.blocks ?? 0) * 512;
  }
  return bytes / MIB;
}

/** Machine and versions in one line. */
export async function describeMachine(): Promise<string> {
  const [cpu] = cpus();
  const { version } = await testServerBinary();
  const memory = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} x ${cpu?.model.trim() ?? 'CPU'}, ${memory} GiB, ${process.platform}; nats-server ${version}, Node.js ${process.versions.node}`;
}
