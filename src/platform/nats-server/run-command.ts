import { spawn } from 'node:child_process';

/** What a finished command wrote. */
export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Bounds and surroundings of one command. */
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
