import type { Logger } from 'pino';
import type { Config } from '../platform/config/schema.ts';

/** What every command gets. */
export interface CommandContext {
  /**
   * Read when it is first needed, so that `help` works with a broken configuration.
   * @param variables from the command line, over those of the environment; only the first call may give some
   * @throws ConfigError
   */
  readonly config: (variables?: Readonly<Record<string, string>>) => Config;
  readonly logger: () => Logger;
  /** Asks whoever sits at the terminal; absent where nobody does. */
  readonly ask?: (question: string) => Promise<string>;
  /** A line for people, on standard output. */
  readonly print: (line: string) => void;
}

/** A subcommand of `jetledger`. */
export interface Command {
  readonly name: string;
  /** What follows the name, for example `<view> | --all`. */
  readonly usage: string;
  /** One line. */
  readonly summary: string;
  /** Details and examples, shown by `jetledger help <name>`. */
  readonly help: string;
  /** @returns the exit code: 0 done, 1 failed, 2 wrong usage, others as its help says */
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/** The arguments are wrong; the message says how they should be. */
export class UsageError extends Error {}

/**
 * Runs work that the first Ctrl-C or SIGTERM asks to end; a second one ends the process as usual. Nothing stays
 * installed afterwards.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const stop = (): void => {
    remove();
    interrupted.abort();
  };
  const remove = (): void => {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await work(interrupted.signal);
  } finally {
    remove();
  }
}

const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** A number of bytes for people: `12 bytes`, `3.4 MB`. */
export function size(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1_000 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A span of time for people, in one unit: `90 s`, `3 h`. */
export function duration(milliseconds: number): string {
  const minutes = milliseconds / 60_000;
  if (minutes < 2) return `${Math.round(minutes * 60)} s`;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1_440)} days`;
}
