#!/usr/bin/env node
import type { Logger } from 'pino';
import { EventStoreError } from '../eventstore/errors.ts';
import { readEnvironment } from '../platform/config/environment.ts';
import { ConfigError } from '../platform/config/errors.ts';
import { configDir, loadConfig } from '../platform/config/load.ts';
import type { Config } from '../platform/config/schema.ts';
import { HttpPortTaken } from '../platform/http-port.ts';
import { createLogger } from '../platform/logger.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { NatsServerError } from '../platform/nats-server/errors.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';
import { configCommand } from './config.ts';
import { consumersCommand } from './consumers.ts';
import { demoCommand } from './demo.ts';
import { parkedCommand } from './parked.ts';
import { rebuildCommand } from './rebuild.ts';
import { serveCommand } from './serve.ts';
import { topologyCommand } from './topology.ts';

const COMMANDS: readonly Command[] = [
  serveCommand,
  demoCommand,
  topologyCommand,
  rebuildCommand,
  consumersCommand,
  parkedCommand,
  configCommand,
];

const OVERVIEW = `jetledger: users, products and orders as events on NATS JetStream

Usage: jetledger <command> [arguments]

${COMMANDS.map((c) => `  ${c.name.padEnd(10)} ${c.summary}`).join('\n')}
  help       show this, or the details of a command: jetledger help rebuild

Configuration: configs/*.yaml, chosen by JETLEDGER_ENV; any key by variable, such as JETLEDGER_HTTP__PORT=8080.
Exit codes: 0 done, 1 failed, 2 wrong usage.`;

function createContext(): CommandContext {
  let config: Config | undefined;
  let logger: Logger | undefined;
  const readConfig = (): Config => {
    const env = readEnvironment();
    config ??= loadConfig({ env, dir: configDir(env) });
    return config;
  };
  return {
    config: readConfig,
    logger: () => {
      logger ??= createLogger(readConfig());
      return logger;
    },
    print: (line) => console.log(line),
  };
}

/** Faults whose message is meant for the person at the terminal; everything else is a bug and shows its stack. */
function isExpected(error: unknown): error is Error {
  const kinds = [HttpPortTaken, ConfigError, NatsServerError, NatsUnusable, EventStoreError];
  return kinds.some((kind) => error instanceof kind);
}

async function main(argv: readonly string[]): Promise<number> {
  const [name = 'help', ...args] = argv;
  const wantsHelp = name === 'help' || name === '--help' || name === '-h';
  const command = COMMANDS.find((c) => c.name === (wantsHelp ? args[0] : name));
  if (command === undefined) {
    if (wantsHelp && args.length === 0) {
      console.log(OVERVIEW);
      return 0;
    }
    console.error(`jetledger: there is no command ${wantsHelp ? args[0] : name}. Try: jetledger help`);
    return 2;
  }
  if (wantsHelp || args.includes('--help') || args.includes('-h')) {
    console.log(`Usage: jetledger ${command.name} ${command.usage}\n\n${command.summary}\n\n${command.help}`);
    return 0;
  }
  try {
    if (command.usage === '' && args.length > 0)
      throw new UsageError(`${name} takes no arguments. Try: jetledger help ${name}`);
    return await command.run(args, createContext());
  } catch (error) {
    const isUsage = error instanceof UsageError || isParseError(error);
    console.error(isUsage || isExpected(error) ? `jetledger: ${error.message}` : error);
    return isUsage ? 2 : 1;
  }
}

function isParseError(error: unknown): error is TypeError {
  return error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
}

process.exitCode = await main(process.argv.slice(2));
