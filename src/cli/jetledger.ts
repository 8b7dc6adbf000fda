#!/usr/bin/env node
import { CATALOGUE, helpOf, OVERVIEW } from './catalogue.ts';
import { UsageError } from './command.ts';

async function main(argv: readonly string[]): Promise<number> {
  const [name = 'help', ...args] = argv;
  if (name === '--version' || name === '-v') {
    console.log((await import('../service/version.ts')).toolVersion());
    return 0;
  }
  const wantsHelp = name === 'help' || name === '--help' || name === '-h';
  const entry = CATALOGUE.find((known) => known.name === (wantsHelp ? args[0] : name));
  if (entry === undefined) {
    if (wantsHelp && args.length === 0) {
      console.log(OVERVIEW);
      return 0;
    }
    console.error(`jetledger: there is no command ${wantsHelp ? args[0] : name}. Try: jetledger help`);
    return 2;
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
    const isUsage = error instanceof UsageError || isParseError(error);
    const { isExpected } = await import('./expected-errors.ts');
    console.error(isUsage || isExpected(error) ? `jetledger: ${error.message}` : error);
    return isUsage ? 2 : 1;
  }
}

function isParseError(error: unknown): error is TypeError {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

process.exitCode = await main(process.argv.slice(2));
