import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createLogStream } from '../support/nats-log.ts';
import { openAll } from './connect.ts';
import { type LoadedLog, loadLog } from './load.ts';
import { type Cipher, type ScaleServer, startScaleServer } from './server.ts';
import { createTargets } from './targets.ts';

/** A server and the folder of its data. */
export interface OwnServer {
  readonly folder: string;
  readonly server: ScaleServer;
}

/** One log on a server of its own. */
export interface ScaleLog extends OwnServer {
  readonly size: number;
  readonly loaded: LoadedLog;
  readonly targets: ReturnType<typeof createTargets>;
}

/** The folder of a run and the servers on it. */
export interface World {
  /** Starts a server and writes a log of `size` aggregates. */
  addLog(size: number): Promise<ScaleLog>;
  /** Starts a server on a folder of this name. */
  addServer(name: string): Promise<OwnServer>;
  /** Stops all servers and removes the data unless it is kept. May be called again. */
  close(): Promise<void>;
}

const PROGRESS_EVERY = 10;

/** The folder `data` is kept, and missing or empty; without it a temporary one is removed. @throws RangeError when it holds something */
export async function openWorld(
  { data, cipher }: { data: string | undefined; cipher: Cipher },
  progress: (line: string) => void,
): Promise<World> {
  const folder = await dataFolder(data);
  const servers: ScaleServer[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.splice(0).map((server) => server.stop()));
    if (data === undefined) await rm(folder, { recursive: true, force: true });
  };
  const addServer = async (name: string): Promise<OwnServer> => {
    const own = join(folder, name);
    const server = await startScaleServer(own, cipher);
    servers.push(server);
    return { folder: own, server };
  };
  const addLog = async (size: number): Promise<ScaleLog> => {
    const { folder: own, server } = await addServer(`aggregates-${size}`);
    await createLogStream(server.url());
    await using opened = await openAll(server.url());
    let next = size / PROGRESS_EVERY;
    const loaded = await loadLog(opened, size, (done) => {
      if (done < next) return;
      next += size / PROGRESS_EVERY;
      progress(`  ${done.toLocaleString('en')} of ${size.toLocaleString('en')} aggregates`);
    });
    return { size, folder: own, server, loaded, targets: createTargets(loaded) };
  };
  return { addLog, addServer, close };
}

async function dataFolder(data: string | undefined): Promise<string> {
  if (data === undefined) return mkdtemp(join(tmpdir(), 'jetledger-scale-'));
  const folder = resolve(data);
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new RangeError(`--data ${data}: the folder is not empty`);
  return folder;
}
