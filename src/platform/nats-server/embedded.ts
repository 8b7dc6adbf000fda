import { mkdir, readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerConfig } from './config-file.ts';
import { ServerStartFailed, ServerTooOld } from './errors.ts';
import { lockFolder } from './folder-lock.ts';
import { GENTLE_STOP_SECONDS, type ServerExit } from './guard.ts';
import { type LaunchedServer, launch } from './launch.ts';
import { type ServerFiles, serverFiles } from './layout.ts';
import { runsWithArgument } from './process-info.ts';
import { removeRuntimeFile, writeRuntimeFile } from './runtime-file.ts';
import { isAtLeast, MINIMUM_VERSION, type ServerBinary } from './version.ts';

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
  /** Laid over the generated configuration (a cluster section, limits). */
  readonly extraConfig?: ServerConfig;
  /** What must answer 200 before the server counts as ready; `/healthz` unless given. */
  readonly healthPath?: string;
  /** Bound for becoming ready; 10 s unless given. */
  readonly readyTimeoutMs?: number;
}

/** A running nats-server that ends with this process at the latest. */
export interface EmbeddedServer {
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
