import { resolve } from 'node:path';
import { Value } from 'typebox/value';
import { packageRoot } from './environment.ts';
import { badValue, ConfigError, type ConfigProblem } from './errors.ts';
import { CONFIG_KEYS, setAt } from './keys.ts';
import { type Layer, readFileLayer, readVariableLayer, type Setting } from './layers.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema, ENVIRONMENTS, type Environment } from './schema.ts';

/** Where the configuration comes from. */
export interface ConfigSources {
  /** The process's variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder of `default.yaml` and the environments' files. */
  readonly dir: string;
}

/** The folder of the configuration files: `JETLEDGER_CONFIG_DIR`, else `configs` of this package. */
export function configDir(env: ConfigSources['env']): string {
  return env.JETLEDGER_CONFIG_DIR || resolve(packageRoot(), 'configs');
}

/**
 * The effective configuration: `default.yaml`, over it the file of the environment (`JETLEDGER_ENV`), over it the
 * variables. A relative `nats.embedded.dataDir` is resolved against the package's folder.
 *
 * @throws ConfigError with every problem found
 */
export function loadConfig({ env, dir }: ConfigSources): Config {
  const { environment, problems, defaults, layers } = readLayers({ env, dir });
  problems.push(...layers.flatMap((layer) => layer.problems));
  const settings = new Map(layers.flatMap((layer) => [...layer.settings]));
  // A file that cannot be read leaves every key missing: one problem, not fifty.
  if (defaults.settings.size > 0) problems.push(...checkValues(settings));
  const config = assemble(withDefaults(settings, defaults), environment);
  if (config !== undefined) {
    const broken = checkRules(config, (name) => settings.get(name)?.origin ?? '');
    problems.push(...broken.filter(({ key }) => problems.every((problem) => problem.key !== key)));
  }
  if (config === undefined || problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Settings that are accepted and have no effect any more, one line each. */
export function settingsWithoutEffect(sources: ConfigSources): readonly string[] {
  return readLayers(sources).layers.flatMap((layer) => layer.notices);
}

function readLayers({ env, dir }: ConfigSources) {
  const { environment, problems } = chooseEnvironment(env);
  const defaults = readFileLayer(dir, 'default.yaml');
  const layers: Layer[] = [
    defaults,
    ...(problems.length === 0 ? [readFileLayer(dir, `${environment}.yaml`)] : []),
    readVariableLayer(env),
  ];
  return { environment, problems, defaults, layers };
}

function chooseEnvironment(env: ConfigSources['env']): {
  environment: Environment;
  problems: ConfigProblem[];
} {
  const given = env.JETLEDGER_ENV || 'development';
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

// So that what several keys do wrong together is told even when another key's value is refused.
function withDefaults(settings: ReadonlyMap<string, Setting>, defaults: Layer): Map<string, Setting> {
  const usable = new Map(settings);
  for (const key of CONFIG_KEYS) {
    const fallback = defaults.settings.get(key.name);
    if (fallback !== undefined && !key.accepts(settings.get(key.name)?.value)) usable.set(key.name, fallback);
  }
  return usable;
}

function assemble(settings: ReadonlyMap<string, Setting>, environment: Environment): Config | undefined {
  const tree = {};
  for (const [name, { value }] of settings) setAt(tree, name, value);
  if (!Value.Check(configSchema, tree)) return undefined;
  tree.nats.embedded.dataDir = resolve(packageRoot(), tree.nats.embedded.dataDir);
  return { ...tree, environment };
}
