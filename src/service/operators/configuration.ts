import { createHash } from 'node:crypto';
import type { ConfigurationAdmin, SettingValue } from '../../api/operators/ports.ts';
import type { Runtime } from '../../eventstore/index.ts';
import { CONFIG_KEYS, getAt } from '../../platform/config/keys.ts';
import { DEFAULTS_FILE, type SettingSource } from '../../platform/config/load.ts';
import { maskSecrets } from '../../platform/config/mask.ts';
import type { Config } from '../../platform/config/schema.ts';
import { type Buckets, bucketNames } from '../../processes/engine/index.ts';
import { readInstances, readSettings, type ToldSettings } from './instances.ts';
import { answersBucket } from './requests.ts';

type Sources = ReadonlyMap<string, SettingSource>;

/** What a process tells of its configuration. No secret is in it, nor the login of an address. */
export function toldSettings(config: Config, sources: Sources): ToldSettings {
  const masked = maskSecrets(config);
  const set = CONFIG_KEYS.flatMap(({ name }) => {
    const origin = sources.get(name)?.origin ?? '';
    return origin === '' || origin.endsWith(DEFAULTS_FILE)
      ? []
      : [[name, [String(getAt(masked, name)), origin]] as const];
  });
  return { defaults: digestOf(sources), set: Object.fromEntries(set) };
}

function digestOf(sources: Sources): string {
  const values = CONFIG_KEYS.map(({ name }) => [name, sources.get(name)?.fallback]);
  return createHash('sha256').update(JSON.stringify(values)).digest('hex').slice(0, 16);
}

/** What all processes run with, put together by this one, which knows the defaults of its own version. */
export function createConfigurationAdmin(deps: {
  readonly buckets: Pick<Buckets, 'open'>;
  /** Where those tell that keep only views. */
  readonly answers: Pick<Buckets, 'open'>;
  readonly prefix: string;
  readonly runtime: Runtime;
  /** Of this process. */
  readonly sources: Sources;
}): ConfigurationAdmin {
  const { buckets, answers, prefix, runtime, sources } = deps;
  return async () => {
    const opened = await Promise.all([
      buckets.open(bucketNames(prefix).shared),
      answers.open(answersBucket(prefix)),
    ]);
    const instances = await readInstances(opened, runtime);
    const told = await readSettings(
      opened,
      instances.map(({ id }) => id),
    );
    return {
      instances: instances.map(({ id, name, roles, version }) => ({ id, name, roles, version })),
      items: CONFIG_KEYS.map(({ name }) => ({ name, values: valuesOf(name, told, sources) })),
    };
  };
}

function valuesOf(
  name: string,
  told: ReadonlyMap<string, ToldSettings>,
  sources: Sources,
): readonly SettingValue[] {
  const own = digestOf(sources);
  const found = new Map<string, SettingValue>();
  for (const [id, { defaults, set }] of told) {
    const isKnown = defaults === own;
    const fallback = isKnown ? String(sources.get(name)?.fallback ?? '') : undefined;
    const [value, origin] = set[name] ?? [fallback, isKnown ? 'default' : 'default of another version'];
    const key = JSON.stringify([value, origin]);
    const instances = [...(found.get(key)?.instances ?? []), id];
    found.set(key, { value, origin, instances });
  }
  return [...found.values()];
}
