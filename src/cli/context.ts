import type { Logger } from 'pino';
import { readEnvironment } from '../platform/config/environment.ts';
import { configDir, loadConfig } from '../platform/config/load.ts';
import type { Config } from '../platform/config/schema.ts';
import { createLogger, traceFields } from '../platform/logger.ts';
import type { CommandContext } from './command.ts';
/** What a command of this process gets. */
export function createContext(): CommandContext {
  let config: Config | undefined;
  let logger: Logger | undefined;
  const readConfig: CommandContext['config'] = (variables = {}) => {
    const env = { ...readEnvironment(), ...variables };
    config ??= loadConfig({ env, dir: configDir(env) });
    return config;
  };
  return {
    config: readConfig,
    logger: () => {
      logger ??= createLogger(readConfig(), { mixin: traceFields });
      return logger;
    },
    print: (line) => console.log(line),
  };
}
