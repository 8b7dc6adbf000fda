import { resolve } from 'node:path';
import { Value } from 'typebox/value';
import { badValue, ConfigError, type ConfigProblem } from './errors.ts';
import { readFileLayer } from './file-layer.ts';
import { CONFIG_KEYS } from './keys.ts';
import { packageRoot } from './package-root.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema, ENVIRONMENTS, type Environment } from './schema.ts';
import type { Layer, Setting } from './settings.ts';
import { setAt } from './tree.ts';
import { readVariableLayer } from './variable-layer.ts';

/** Where the configuration comes from. */
export interface ConfigSources {
  /** The process's variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder of `default.yaml` and the environments' files. */
  readonly dir: string;
}

/** The folder of the configuration files: `JETLEDGER_CONFIG_DIR`, else `configs` of this package. */
export function configDir(env: ConfigSources['env']): string {
  return env['JETLEDGER_CONFIG_DIR'] || resolve(packageRoot(), 'configs');
}

/**
 * The effective configuration: `default.yaml`, over it the file of the environment (`JETLEDGER_ENV`), over it the
 * variables. A relative `nats.embedded.dataDir` is resolved against the package's folder.
 *
 * @throws ConfigError with every problem found
 */
export function loadConfig({ env, dir }: ConfigSources): Config {
  const { environment, problems } = chooseEnvironment(env);
  const layers: Layer[] = [
    readFileLayer(dir, 'default.yaml'),
    ...(problems.length === 0 ? [readFileLayer(dir, `${environment}.yaml`)] : []),
    readVariableLayer(env),
  ];
  const settings = new Map(layers.flatMap((layer) => [...layer.settings]));
  problems.push(...layers.flatMap((layer) => layer.problems));
  // A file that cannot be read leaves every key missing: one problem, not fifty.
  if (layers[0]?.settings.size !== 0) problems.push(...checkValues(settings));
  const config = problems.length === 0 ? assemble(settings, environment) : undefined;
  if (config !== undefined) problems.push(...checkRules(config, (name) => settings.get(name)?.origin ?? ''));
  if (config === undefined || problems.length > 0) throw new ConfigError(problems);
  return config;
}

function chooseEnvironment(env: ConfigSources['env']): { environment: Environment; problems: ConfigProblem[] } {
  const given = env['JETLEDGER_ENV'] || 'development';
  const environment = ENVIRONMENTS.find((name) => name === given);
  if (environment !== undefined) return { environment, problems: [] };
  const message = `given ${JSON.stringify(given)} (environment); allowed: ${ENVIRONMENTS.join(', ')}`;
  return { environment: 'development', problems: [{ key: 'JETLEDGER_ENV', message }] };
}

function checkValues(settings: ReadonlyMap<string, Setting>): ConfigProblem[] {
  return CONFIG_KEYS.flatMap((key) => {
    const setting = settings.get(key.name);
    return key.accepts(setting?.value) ? [] : [badValue(key, setting?.value, setting?.origin ?? '')];
  });
}

function assemble(settings: ReadonlyMap<string, Setting>, environment: Environment): Config {
  const tree = {};
  for (const [name, { value }] of settings) setAt(tree, name, value);
  const config = { ...Value.Parse(configSchema, tree), environment };
  config.nats.embedded.dataDir = resolve(packageRoot(), config.nats.embedded.dataDir);
  return config;
}
