import { resolve } from 'node:path';
import { Value } from 'typebox/value';
import { packageRoot } from './environment.ts';
import { badValue, ConfigError, type ConfigProblem } from './errors.ts';
import { CONFIG_KEYS, setAt } from './keys.ts';
import { type Layer, NO_FILE, nearest, readFileLayer, readVariableLayer, type Setting } from './layers.ts';
import { checkRules } from './rules.ts';
import { type Config, configSchema, ENVIRONMENTS } from './schema.ts';
import { readStandardLayer, switchedOff } from './standard-variables.ts';

/** The file that says every setting. */
export const DEFAULTS_FILE = 'default.yaml';

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
 * The effective configuration: `default.yaml`, over it the file of the environment (`JETLEDGER_ENV`) if there is one,
 * over it OpenTelemetry's variables, over these JetLedger's. A relative `nats.embedded.dataDir` is resolved against the package's folder, `lists.dir` against that.
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

/** Where the value of a setting comes from, and what it would be without it. */
export interface SettingSource {
  /** The file or variable. */
  readonly origin: string;
  /** Of `default.yaml`. */
  readonly fallback: unknown;
}

/** The source of every setting, by its name. */
export function settingSources(sources: ConfigSources): ReadonlyMap<string, SettingSource> {
  const { defaults, layers } = readLayers(sources);
  const settings = new Map(layers.flatMap((layer) => [...layer.settings]));
  return new Map(
    [...settings].map(([name, { origin }]) => [
      name,
      { origin, fallback: defaults.settings.get(name)?.value },
    ]),
  );
}

function readLayers({ env, dir }: ConfigSources) {
  const { environment, own, problems } = chooseEnvironment(env.JETLEDGER_ENV || 'development', dir);
  const defaults = readFileLayer(dir, DEFAULTS_FILE);
  const layers: Layer[] = [
    defaults,
    ...own,
    readStandardLayer(env),
    readVariableLayer(env),
    switchedOff(env),
  ];
  return { environment, problems, defaults, layers };
}

const ENVIRONMENT_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Any name may be an environment's; one that looks misspelt is believed only if it has a file. */
function chooseEnvironment(name: string, dir: string) {
  const refused = (why: string) => {
    const message = `given ${JSON.stringify(name)} (environment); ${why}`;
    return { environment: 'development', own: [], problems: [{ key: 'JETLEDGER_ENV', message }] };
  };
  if (!ENVIRONMENT_NAME.test(name)) return refused('allowed: small letters, digits and -');
  const file = `${name}.yaml`;
  const own = readFileLayer(dir, file, { optional: true });
  const isSure = ENVIRONMENTS.some((known) => known === name) || own !== NO_FILE;
  const meant = isSure ? undefined : nearest(name, ENVIRONMENTS);
  if (meant !== undefined) return refused(`did you mean ${meant}? If not, make the file ${file}`);
  return { environment: name, own: [own], problems: [] as ConfigProblem[] };
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

function assemble(settings: ReadonlyMap<string, Setting>, environment: string): Config | undefined {
  const tree = {};
  for (const [name, { value }] of settings) setAt(tree, name, value);
  if (!Value.Check(configSchema, tree)) return undefined;
  tree.nats.embedded.dataDir = resolve(packageRoot(), tree.nats.embedded.dataDir);
  if (tree.lists.dir !== '') tree.lists.dir = resolve(tree.nats.embedded.dataDir, tree.lists.dir);
  return { ...tree, environment };
}
