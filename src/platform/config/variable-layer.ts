import type { ConfigProblem } from './errors.ts';
import { CONFIG_KEYS, KEYS_BY_NAME } from './keys.ts';
import { replacementOf } from './replaced-keys.ts';
import type { Layer, Setting } from './settings.ts';
import { nearest } from './suggest.ts';

const PREFIX = 'JETLEDGER_';

/** Variables of ours that are not keys: which set of values, and where the files are. */
const OTHER_VARIABLES: readonly string[] = ['JETLEDGER_ENV', 'JETLEDGER_CONFIG_DIR'];

/** Names that hosting platforms and NATS tools set; the variable with our prefix wins. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['NATS_URL', 'nats.url'],
  ['PORT', 'http.port'],
]);

/** Reads the variables; each value is converted to its key's type, what is wrong is in the layer's problems. */
export function readVariableLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const settings = new Map<string, Setting>();
  const problems: ConfigProblem[] = [];
  for (const [alias, name] of ALIASES) {
    const text = env[alias];
    if (text !== undefined && text !== '') settings.set(name, { value: fromText(name, text), origin: alias });
  }
  const names = new Map(CONFIG_KEYS.map((key) => [normalise(key.variable), key.name]));
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || OTHER_VARIABLES.includes(variable) || text === undefined) continue;
    const name = names.get(normalise(variable));
    if (name === undefined) problems.push(unknownVariable(variable));
    else settings.set(name, { value: fromText(name, text), origin: variable });
  }
  return { settings, problems };
}

// Between levels stands `__`; inside a level `DATA_DIR`, `DATADIR` and `dataDir` are the same.
function normalise(variable: string): string {
  const levels = variable.slice(PREFIX.length).split('__');
  return levels.map((level) => level.replaceAll('_', '').toLowerCase()).join('.');
}

function fromText(name: string, text: string): unknown {
  return KEYS_BY_NAME.get(name)?.fromText(text);
}

function unknownVariable(variable: string): ConfigProblem {
  const replaced = replacementOf(normalise(variable));
  if (replaced !== undefined) return { key: variable, message: `${replaced} (environment)` };
  const hint = nearest(variable, [...CONFIG_KEYS.map((key) => key.variable), ...OTHER_VARIABLES]);
  return {
    key: variable,
    message: `no such key (environment)${hint === undefined ? '' : `; did you mean ${hint}?`}`,
  };
}
