import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isHealthy } from './monitor.ts';

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
 */
export async function waitUntilReady(
  portsDir: string,
  healthPath: string,
  signal: AbortSignal,
): Promise<ServerAddresses | undefined> {
  let addresses: ServerAddresses | undefined;
  while (!signal.aborted) {
    addresses ??= await readPortsFile(portsDir);
    if (addresses !== undefined && (await isHealthy(addresses.monitorUrl, healthPath, PROBE_TIMEOUT_MS))) {
      return addresses;
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
