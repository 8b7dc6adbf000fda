import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readIllness, UNREADABLE } from '../nats-monitor.ts';
import { isHealthy, PortTaken, ServerStartFailed } from './errors.ts';
import { type GuardedServer, type ServerExit, spawnGuarded } from './process.ts';

/** Where the embedded server's files lie inside its data folder. */
export interface ServerFiles {
  readonly dataDir: string;
  readonly config: string;
  readonly log: string;
  readonly pid: string;
  readonly ports: string;
  readonly store: string;
}

/** Absolute paths for the data folder given. */
export function serverFiles(dataDir: string): ServerFiles {
  const root = resolve(dataDir);
  return {
    dataDir: root,
    config: join(root, 'nats-server.conf'),
    log: join(root, 'nats-server.log'),
    pid: join(root, 'nats-server.pid'),
    ports: join(root, 'ports'),
    store: join(root, 'data'),
  };
}

/** A nats-server configuration as plain data. Any key of the server's configuration reference may appear. */
export interface ServerConfig {
  readonly [key: string]: ConfigValue;
}

/** What a configuration may hold. */
export type ConfigValue = string | number | boolean | readonly ConfigValue[] | ServerConfig;

/** Where a server on loopback listens and keeps its data. */
export interface LoopbackOptions {
  /** Client port; -1 = any free one. */
  readonly port: number;
  /** Port of the monitoring endpoint; -1 = any free one. */
  readonly monitorPort: number;
  /** Folder of JetStream's files. */
  readonly storeDir: string;
  /** Folder into which the server writes the ports that it got. */
  readonly portsDir: string;
  /** True: every write is synced to disk before it is acknowledged. False: every two minutes. */
  readonly syncAlways: boolean;
  readonly serverName?: string;
  /** Of `SERVER_USER`; empty = no login. */
  readonly password: string;
}

/** The one user of the embedded server. */
export const SERVER_USER = 'jetledger';

/** A section `authorization` that lets in one user only; none for an empty password. */
export function authorizationOf(password: string): ServerConfig {
  return password === '' ? {} : { authorization: { user: SERVER_USER, password } };
}

/** A server's address with the login of its user; the address as it is for an empty password. */
export function withLogin(url: string, password: string): string {
  return password === '' ? url : url.replace('://', `://${SERVER_USER}:${password}@`);
}

/**
 * Configuration of a JetStream server that only this machine can reach.
 * The sync interval can be set in a configuration file only, which is why the embedded server has one.
 */
export function loopbackConfig(options: LoopbackOptions): ServerConfig {
  return {
    ...(options.serverName === undefined ? {} : { server_name: options.serverName }),
    listen: `127.0.0.1:${options.port}`,
    http: `127.0.0.1:${options.monitorPort}`,
    ...authorizationOf(options.password),
    ports_file_dir: options.portsDir,
    jetstream: {
      store_dir: options.storeDir,
      ...(options.syncAlways ? { sync_interval: 'always' } : {}),
    },
  };
}

/** Lays `extra` over `base`: nested sections are merged, everything else is replaced. Neither is changed. */
export function mergeConfig(base: ServerConfig, extra: ServerConfig): ServerConfig {
  const merged: Record<string, ConfigValue> = { ...base };
  for (const [key, value] of Object.entries(extra)) {
    const present = merged[key];
    merged[key] = isSection(present) && isSection(value) ? mergeConfig(present, value) : value;
  }
  return merged;
}

/** Writes the configuration to `path`. The server's own format takes JSON, so nothing needs quoting rules of ours. */
export async function writeConfigFile(path: string, config: ServerConfig): Promise<void> {
  // The mode counts for a new file only.
  await rm(path, { force: true });
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

function isSection(value: ConfigValue | undefined): value is ServerConfig {
  return typeof value === 'object' && !Array.isArray(value);
}

/** Addresses that the server reported for itself. */
export interface ServerAddresses {
  readonly url: string;
  readonly monitorUrl: string;
}

const POLL_MS = 5;
const PROBE_TIMEOUT_MS = 1_000;

/**
 * Waits until the server has written its ports file into `portsDir` and answers `healthPath` with 200.
 * Answers undefined when `signal` is aborted first: the caller knows whether that was the time limit or the server's end.
 * Answers its illness when it has started without a stream that it cannot read, which it does not get over.
 */
export async function waitUntilReady(
  portsDir: string,
  healthPath: string,
  signal: AbortSignal,
): Promise<ServerAddresses | { readonly illness: string } | undefined> {
  let addresses: ServerAddresses | undefined;
  while (!signal.aborted) {
    addresses ??= await readPortsFile(portsDir);
    if (addresses !== undefined) {
      const { monitorUrl } = addresses;
      if (await isHealthy(monitorUrl, healthPath, PROBE_TIMEOUT_MS)) return addresses;
      // It listens when it has read back what it can: what it lacks now, it will not find.
      const illness = await readIllness(monitorUrl, healthPath).catch(() => undefined);
      if (illness !== undefined && UNREADABLE.test(illness)) return { illness };
    }
    await delay(POLL_MS);
  }
  return undefined;
}

async function readPortsFile(portsDir: string): Promise<ServerAddresses | undefined> {
  try {
    const name = (await readdir(portsDir)).find((entry) => entry.endsWith('.ports'));
    if (name === undefined) return undefined;
    const ports: unknown = JSON.parse(await readFile(join(portsDir, name), 'utf8'));
    return toAddresses(ports as { nats?: string[]; monitoring?: string[] });
  } catch {
    // The server is still writing it.
    return undefined;
  }
}

function toAddresses(ports: { nats?: string[]; monitoring?: string[] }): ServerAddresses | undefined {
  const url = ports.nats?.[0];
  const monitorUrl = ports.monitoring?.[0];
  return url === undefined || monitorUrl === undefined ? undefined : { url, monitorUrl };
}

/** What the server is told beyond its folder. */
export interface LaunchOptions {
  readonly binaryPath: string;
  readonly port: number;
  readonly monitorPort: number;
  readonly syncAlways: boolean;
  readonly serverName?: string | undefined;
  readonly password: string;
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
      const url = withLogin(outcome.url, options.password);
      return { ...outcome, url, guarded, pid: Number(await readFile(files.pid, 'utf8')) };
    }
    guarded.release();
    await guarded.exited;
    if (outcome !== undefined && 'illness' in outcome) throw unreadable(outcome.illness, files);
    throw await explainFailure(files, options, outcome?.exit);
  } finally {
    clearTimeout(timer);
    stopWaiting.abort();
  }
}

async function prepareFolder(files: ServerFiles, options: LaunchOptions): Promise<void> {
  const { port, monitorPort, syncAlways, serverName, password } = options;
  await rm(files.ports, { recursive: true, force: true });
  await mkdir(files.ports, { recursive: true });
  const config = loopbackConfig({
    port,
    monitorPort,
    syncAlways,
    password,
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

function unreadable(illness: string, { store }: ServerFiles): Error {
  return new ServerStartFailed(
    `nats-server says of ${store}: ${illness}. It was written with another cipher or key, or is damaged. Nothing was ` +
      'changed: start it as before, or restore a backup into a new folder',
  );
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
