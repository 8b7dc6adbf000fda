import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { loopbackConfig, mergeConfig, type ServerConfig, writeConfigFile } from './config-file.ts';
import { PortTaken, ServerStartFailed } from './errors.ts';
import { type GuardedServer, type ServerExit, spawnGuarded } from './guard.ts';
import type { ServerFiles } from './layout.ts';
import { type ServerAddresses, waitUntilReady } from './readiness.ts';

/** What the server is told beyond its folder. */
export interface LaunchOptions {
  readonly binaryPath: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly syncAlways: boolean;
  readonly serverName?: string | undefined;
  readonly extraConfig: ServerConfig;
  readonly healthPath: string;
  readonly readyTimeoutMs: number;
}

/** A server that is ready for clients. */
export interface LaunchedServer extends ServerAddresses {
  readonly pid: number;
  readonly guarded: GuardedServer;
}

const LOG_TAIL_LINES = 12;

/**
 * Writes the configuration, starts the server under its guard and waits until it is healthy. The folder is the caller's.
 * When it fails, the server has ended before the error is thrown.
 *
 * @throws PortTaken, ServerStartFailed
 */
export async function launch(files: ServerFiles, options: LaunchOptions): Promise<LaunchedServer> {
  await prepareFolder(files, options);
  const guarded = await spawnWithLog(files, options.binaryPath);
  const stopWaiting = new AbortController();
  const timer = setTimeout(() => stopWaiting.abort(), options.readyTimeoutMs);
  try {
    const outcome = await Promise.race([
      waitUntilReady(files.ports, options.healthPath, stopWaiting.signal),
      guarded.exited.then((exit) => ({ exit })),
    ]);
    if (outcome !== undefined && 'url' in outcome) {
      return { ...outcome, guarded, pid: Number(await readFile(files.pid, 'utf8')) };
    }
    guarded.release();
    await guarded.exited;
    throw await explainFailure(files, options, outcome?.exit);
  } finally {
    clearTimeout(timer);
    stopWaiting.abort();
  }
}

async function prepareFolder(files: ServerFiles, options: LaunchOptions): Promise<void> {
  const { port, monitorPort, syncAlways, serverName } = options;
  await rm(files.ports, { recursive: true, force: true });
  await mkdir(files.ports, { recursive: true });
  const config = loopbackConfig({
    port,
    monitorPort,
    syncAlways,
    storeDir: files.store,
    portsDir: files.ports,
    ...(serverName === undefined ? {} : { serverName }),
  });
  await writeConfigFile(files.config, mergeConfig(config, options.extraConfig));
  await rename(files.log, `${files.log}.old`).catch(() => undefined);
}

async function spawnWithLog(files: ServerFiles, binaryPath: string): Promise<GuardedServer> {
  const log = await open(files.log, 'w', 0o600);
  try {
    return spawnGuarded([binaryPath, '-c', files.config], files.pid, log.fd);
  } finally {
    await log.close();
  }
}

async function explainFailure(
  files: ServerFiles,
  options: LaunchOptions,
  exit: ServerExit | undefined,
): Promise<Error> {
  const log = await readFile(files.log, 'utf8').catch(() => '');
  if (/address already in use/i.test(log)) return new PortTaken(takenPort(log) ?? options.port);
  const what =
    exit === undefined
      ? `was not ready within ${options.readyTimeoutMs / 1000} s`
      : `ended at once (${exit.signal ?? `code ${exit.code}`})`;
  const tail = log.trim().split('\n').slice(-LOG_TAIL_LINES).join('\n  ');
  return new ServerStartFailed(`nats-server ${what}; the end of ${files.log}:\n  ${tail}`);
}

function takenPort(log: string): number | undefined {
  const port = /127\.0\.0\.1:(\d+): bind: address already in use/i.exec(log)?.[1];
  return port === undefined ? undefined : Number(port);
}
