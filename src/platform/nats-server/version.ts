import { spawn } from 'node:child_process';

/** What a finished command wrote. */
export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Bounds, folder and environment of one command. */
export interface CommandOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with each piece that the command writes to its file descriptor 3. */
  readonly onStatus?: (text: string) => void;
}

/**
 * Runs a program without a shell and waits for its end. Throws an `Error` whose message is one line (no such program,
 * exit code with the last line it wrote, or the time limit, after which it was killed).
 */
export function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandOutput> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    // Not spawn's own time limit: its timer keeps running after a program that could not be started.
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
    const written = { stdout: '', stderr: '' };
    child.stdout?.on('data', (chunk: Buffer) => {
      written.stdout += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      written.stderr += chunk.toString();
    });
    child.stdio[3]?.on('data', (chunk: Buffer) => options.onStatus?.(chunk.toString()));
    child.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(
        new Error(error.code === 'ENOENT' ? `${program}: no such program` : `${program}: ${error.message}`),
      );
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(written);
      else reject(new Error(describeFailure(program, code, signal, options.timeoutMs, written)));
    });
  });
}

function describeFailure(
  program: string,
  code: number | null,
  signal: NodeJS.Signals | null,
  timeoutMs: number,
  written: CommandOutput,
): string {
  if (signal === 'SIGKILL') return `${program}: no end within ${timeoutMs / 1000} s`;
  const lastLine = `${written.stdout}\n${written.stderr}`.trim().split('\n').at(-1) ?? '';
  return `${program}: ended with ${signal ?? `code ${code}`}${lastLine === '' ? '' : ` (${lastLine})`}`;
}

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
