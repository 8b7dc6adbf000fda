import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isHealthy } from './monitor.ts';
import { isAlive } from './process-info.ts';

/** Where a running embedded server is reached. */
export interface RunningServer {
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
