#!/usr/bin/env node
import { CATALOGUE, helpOf, OVERVIEW } from './catalogue.ts';
import { type Command, UsageError } from './command.ts';

async function main(argv: readonly string[]): Promise<number> {
  const [name = 'help', ...args] = argv;
  if (name === '--version' || name === '-v') {
    console.log((await import('../service/version.ts')).toolVersion());
    return 0;
  }
  const wantsHelp = name === 'help' || name === '--help' || name === '-h';
  const entry = CATALOGUE.find((known) => known.name === (wantsHelp ? args[0] : name));
  outliveReaders(entry?.works === true);
  if (entry === undefined) {
    if (wantsHelp && args.length === 0) {
      console.log(OVERVIEW);
      return 0;
    }
    return unknownCommand(wantsHelp ? (args[0] ?? '') : name);
  }
  const command = await entry.load();
  if (wantsHelp || args.includes('--help') || args.includes('-h')) {
    console.log(helpOf(command));
    return 0;
  }
  try {
    if (command.usage === '' && args.length > 0)
      throw new UsageError(`${name} takes no arguments. Try: jetledger help ${name}`);
    const { createContext } = await import('./context.ts');
    return await command.run(args, createContext());
  } catch (error) {
    return tellError(command, args, error);
  }
}

async function unknownCommand(name: string): Promise<number> {
  const known = CATALOGUE.map((entry) => entry.name);
  const hint = await hintOf(name, known);
  console.error(`jetledger: there is no command ${name}${hint} Try: jetledger help`);
  return 2;
}

async function tellError(command: Command, args: readonly string[], error: unknown): Promise<number> {
  const isUsage = error instanceof UsageError || isParseError(error);
  const { messageOf } = await import('./expected-errors.ts');
  const message = isUsage ? await usageMessage(command, args, error) : messageOf(error);
  console.error(message === undefined ? error : `jetledger: ${message}`);
  return isUsage ? 2 : 1;
}

function isParseError(error: unknown): error is TypeError {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

/** What is wrong with the arguments; Node's own word on an unknown option tells of something else. */
async function usageMessage({ name, help }: Command, args: readonly string[], error: Error): Promise<string> {
  if (!('code' in error) || error.code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') return error.message;
  const options: readonly string[] = help.match(/--[a-z][a-z-]*/g) ?? [];
  const unknown = args
    .map((arg) => arg.replace(/=.*$/s, ''))
    .find((arg) => isOption(arg) && !options.includes(arg));
  if (unknown === undefined) return error.message;
  return `${name} has no option ${unknown}${await hintOf(unknown, options)} Try: jetledger help ${name}`;
}

const isOption = (arg: string): boolean => arg.startsWith('-') && arg !== '-' && arg !== '--';

async function hintOf(word: string, known: readonly string[]): Promise<string> {
  const { nearest } = await import('../platform/config/layers.ts');
  const near = nearest(word, known);
  return near === undefined ? '.' : `; did you mean ${near}?`;
}

/**
 * Who reads the output through a pipe may have enough (`| head`): then there is nothing left to do, except for commands
 * whose work is more than what they print.
 */
function outliveReaders(works: boolean): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (!works) process.exit(process.exitCode ?? 0);
    });
  }
}

process.exitCode = await main(process.argv.slice(2));
