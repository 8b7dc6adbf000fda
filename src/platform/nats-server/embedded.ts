import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DataFolderInUse, isHealthy, ServerHung, ServerStartFailed, ServerTooOld } from './errors.ts';
import { type LaunchedServer, launch, type ServerConfig, type ServerFiles, serverFiles } from './launch.ts';
import { GENTLE_STOP_SECONDS, isAlive, runsWithArgument, type ServerExit, startTimeOf } from './process.ts';
import { isAtLeast, MINIMUM_VERSION, type ServerBinary } from './version.ts';

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

/** Where a running embedded server is reached. */
export interface RunningServer {
  /** With user and password, where it asks for them: a secret. */
  readonly url: string;
  readonly monitorUrl: string;
  readonly pid: number;
}

const HEALTH_TIMEOUT_MS = 1_000;

/** Tells other commands on this machine where the server of `dataDir` listens; written atomically. */
export async function writeRuntimeFile(dataDir: string, server: RunningServer): Promise<void> {
  const temporary = `${runtimeFile(dataDir)}.${process.pid}`;
  await writeFile(temporary, `${JSON.stringify(server)}\n`, { mode: 0o600 });
  await rename(temporary, runtimeFile(dataDir));
}

/** Removes the note; nothing happens when there is none. */
export async function removeRuntimeFile(dataDir: string): Promise<void> {
  await rm(runtimeFile(dataDir), { force: true });
}

/** The embedded server that runs on `dataDir` now: its note exists, its process lives and it answers as healthy within a second. */
export async function findRunningServer(dataDir: string): Promise<RunningServer | undefined> {
  const noted = await readRuntimeFile(dataDir);
  if (noted === undefined || !isAlive(noted.pid)) return undefined;
  return (await isHealthy(noted.monitorUrl, '/healthz', HEALTH_TIMEOUT_MS)) ? noted : undefined;
}

/**
 * Why a server that could neither be joined nor started is to be mended: one that runs on `dataDir` and does not answer
 * explains that its folder is in use. Anything else stays as it is.
 */
export async function explainInUse(error: unknown, dataDir: string): Promise<unknown> {
  if (!(error instanceof DataFolderInUse)) return error;
  const noted = await readRuntimeFile(dataDir);
  if (noted === undefined || !runsWithArgument(noted.pid, serverFiles(dataDir).config)) return error;
  const answers = await isHealthy(noted.monitorUrl, '/healthz', HEALTH_TIMEOUT_MS);
  return answers ? error : new ServerHung(dataDir, noted.pid);
}

async function readRuntimeFile(dataDir: string): Promise<RunningServer | undefined> {
  try {
    const noted: unknown = JSON.parse(await readFile(runtimeFile(dataDir), 'utf8'));
    return isRunningServer(noted) ? noted : undefined;
  } catch {
    return undefined;
  }
}

function isRunningServer(value: unknown): value is RunningServer {
  if (typeof value !== 'object' || value === null) return false;
  const { url, monitorUrl, pid } = value as Record<string, unknown>;
  return typeof url === 'string' && typeof monitorUrl === 'string' && typeof pid === 'number';
}

function runtimeFile(dataDir: string): string {
  return join(dataDir, 'server.json');
}

/** How to run the embedded server. */
export interface EmbeddedServerOptions {
  readonly binary: ServerBinary;
  /** Folder for data, configuration, log and notes; made when missing, owned by one process at a time. */
  readonly dataDir: string;
  /** Client port on 127.0.0.1; -1 = any free one. */
  readonly port: number;
  /** Port of the monitoring endpoint on 127.0.0.1; any free one unless given. */
  readonly monitorPort?: number;
  /** True: acknowledged means on disk. */
  readonly syncAlways: boolean;
  readonly serverName?: string;
  /** Of the one user who may log in: made for this start unless given, and in `url`. Empty = everybody may do everything. */
  readonly password?: string;
  /** Laid over the generated configuration (a cluster section, limits). */
  readonly extraConfig?: ServerConfig;
  /** What must answer 200 before the server counts as ready; `/healthz` unless given. */
  readonly healthPath?: string;
  /** Bound for becoming ready; 10 s unless given. */
  readonly readyTimeoutMs?: number;
}

/** A running nats-server that ends with this process at the latest. */
export interface EmbeddedServer {
  /** With user and password, where it asks for them: a secret. */
  readonly url: string;
  readonly monitorUrl: string;
  /** Process id of nats-server itself. */
  readonly pid: number;
  /** Settles when the server has ended, for whatever reason. */
  readonly exited: Promise<ServerExit>;
  /** Ends the server gently (by force after a bound), then frees the data folder. May be called again. */
  stop(): Promise<void>;
  /** Sends a signal to nats-server itself. False when it is gone. */
  kill(signal: NodeJS.Signals): boolean;
}

/** A password that nobody guesses. */
export const newPassword = (): string => randomBytes(32).toString('hex');

const READY_TIMEOUT_MS = 10_000;
const FORMER_SERVER_TIMEOUT_MS = (GENTLE_STOP_SECONDS + 5) * 1_000;
const FORMER_SERVER_POLL_MS = 20;

/**
 * Starts nats-server with JetStream on loopback and waits until it is healthy. A folder left by a killed process is
 * taken over as soon as that process's server is gone.
 *
 * @throws ServerTooOld, DataFolderInUse, PortTaken: one line that says what to do
 * @throws ServerStartFailed with the last lines of the server's log
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const { binary } = options;
  if (!isAtLeast(binary.version, MINIMUM_VERSION)) {
    throw new ServerTooOld(binary.path, binary.version, MINIMUM_VERSION);
  }
  const files = serverFiles(options.dataDir);
  await mkdir(files.dataDir, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(files.dataDir);
  try {
    await formerServerGone(files);
    const launched = await launch(files, {
      binaryPath: binary.path,
      port: options.port,
      monitorPort: options.monitorPort ?? -1,
      syncAlways: options.syncAlways,
      serverName: options.serverName,
      password: options.password ?? newPassword(),
      extraConfig: options.extraConfig ?? {},
      healthPath: options.healthPath ?? '/healthz',
      readyTimeoutMs: options.readyTimeoutMs ?? READY_TIMEOUT_MS,
    });
    const { url, monitorUrl, pid } = launched;
    await writeRuntimeFile(files.dataDir, { url, monitorUrl, pid });
    return running(launched, files, () => lock.release());
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function running(launched: LaunchedServer, files: ServerFiles, unlock: () => Promise<void>): EmbeddedServer {
  const { url, monitorUrl, pid, guarded } = launched;
  let stopped: Promise<void> | undefined;
  let ended = false;
  // Its process id may be given out again once it has ended: no signal goes there any more.
  void guarded.exited.finally(() => {
    ended = true;
  });
  const stop = async (): Promise<void> => {
    guarded.release();
    await guarded.exited;
    await removeRuntimeFile(files.dataDir);
    await rm(files.pid, { force: true });
    await unlock();
  };
  return {
    url,
    monitorUrl,
    pid,
    exited: guarded.exited,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
    kill: (signal) => !ended && sendSignal(pid, signal),
  };
}

// The guard of a killed process ends its server by itself; until then the files are not ours.
async function formerServerGone(files: ServerFiles): Promise<void> {
  const pid = Number(await readFile(files.pid, 'utf8').catch(() => ''));
  if (!Number.isInteger(pid) || pid <= 0) return;
  const deadline = Date.now() + FORMER_SERVER_TIMEOUT_MS;
  while (runsWithArgument(pid, files.config)) {
    if (Date.now() > deadline) {
      throw new ServerStartFailed(
        `nats-server ${pid}, left by an earlier run, still uses ${files.dataDir}: end it (kill ${pid}) and start again`,
      );
    }
    await delay(FORMER_SERVER_POLL_MS);
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
