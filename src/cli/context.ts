import { createInterface } from 'node:readline/promises';
import type { Logger } from 'pino';
import { readEnvironment } from '../platform/config/environment.ts';
import { configDir, loadConfig, settingsWithoutEffect } from '../platform/config/load.ts';
import type { Config } from '../platform/config/schema.ts';
import { createLogger, traceFields } from '../platform/logger.ts';
import type { CommandContext } from './command.ts';

/** What a command of this process gets. */
export function createContext(): CommandContext {
  let config: Config | undefined;
  let logger: Logger | undefined;
  let notices: readonly string[] = [];
  const readConfig: CommandContext['config'] = (variables = {}) => {
    if (config === undefined) {
      const env = { ...readEnvironment(), ...variables };
      const sources = { env, dir: configDir(env) };
      config = loadConfig(sources);
      notices = settingsWithoutEffect(sources);
    }
    return config;
  };
  return {
    config: readConfig,
    logger: () => {
      if (logger === undefined) {
        logger = createLogger(readConfig(), { mixin: traceFields });
        for (const notice of notices) logger.warn(notice);
      }
      return logger;
    },
    print: (line) => console.log(line),
    ...(process.stdin.isTTY && process.stderr.isTTY && { ask: askOnTerminal }),
  };
}

/** On standard error, so that what is printed stays what was asked for. */
async function askOnTerminal(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await terminal.question(question);
  } finally {
    terminal.close();
  }
}
