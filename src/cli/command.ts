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
  /** @returns the exit code: 0 done, 1 failed, 2 wrong usage */
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/** The arguments are wrong; the message says how they should be. */
export class UsageError extends Error {}
