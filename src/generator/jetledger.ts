#!/usr/bin/env node
// The command of the kernel's package; the service has one of its own, with more.
import { parseArgs } from 'node:util';
import { CannotMake } from './names.ts';
import { makeNew, USAGE } from './new.ts';

function main(argv: readonly string[]): number {
  const usage = `Usage: jetledger new ${USAGE}`;
  try {
    const options = { of: { type: 'string' }, aggregate: { type: 'string' } } as const;
    const { positionals, values } = parseArgs({ args: [...argv], allowPositionals: true, options });
    const [command, kind, name, ...more] = positionals;
    if (command !== 'new' || kind === undefined || name === undefined || more.length > 0)
      throw new CannotMake(usage);
    makeNew(process.cwd(), { kind, name, ...values }, (line) => process.stdout.write(`${line}\n`));
    return 0;
  } catch (error) {
    if (!(error instanceof CannotMake || error instanceof TypeError)) throw error;
    process.stderr.write(`jetledger: ${error.message}\n`);
    return 2;
  }
}

process.exitCode = main(process.argv.slice(2));
