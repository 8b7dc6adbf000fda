import { runCommand } from './run-command.ts';

/** Oldest server whose streams keep what the log needs; older ones accept newer settings and silently drop them. */
export const MINIMUM_VERSION = '2.12.0';

/** A nats-server program and the version that it says it is. */
export interface ServerBinary {
  readonly path: string;
  readonly version: string;
}

const VERSION_TIMEOUT_MS = 5_000;

/** Reads `2.15.1` out of the answer of `nats-server -v` (`nats-server: v2.15.1`); undefined when it is something else. */
export function parseVersion(output: string): string | undefined {
  return /nats-server:?\s+(?:version\s+)?v?(\d+\.\d+\.\d+)/i.exec(output)?.[1];
}

/** True when `version` (`major.minor.patch`) is at least `minimum`. */
export function isAtLeast(version: string, minimum: string): boolean {
  return compareVersions(version, minimum) >= 0;
}

/** Negative, zero or positive, as in `Array.prototype.sort`. */
export function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Asks the program at `path` for its version. Throws an `Error` with the reason when it does not answer as nats-server. */
export async function readVersion(path: string): Promise<string> {
  const { stdout, stderr } = await runCommand(path, ['-v'], { timeoutMs: VERSION_TIMEOUT_MS });
  const version = parseVersion(`${stdout}\n${stderr}`);
  if (version === undefined) throw new Error('its answer to -v is not that of a nats-server');
  return version;
}
