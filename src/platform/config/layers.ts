import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseDocument } from 'yaml';
import type { ConfigProblem } from './errors.ts';
import { CONFIG_KEYS, isTree, KEYS_BY_NAME, SECTION_NAMES, variableFor } from './keys.ts';

/** A value as it was found. */
export interface Setting {
  readonly value: unknown;
  /** The file or variable that it came from. */
  readonly origin: string;
}

/** What one source (a file, the variables) says. */
export interface Layer {
  readonly settings: ReadonlyMap<string, Setting>;
  readonly problems: readonly ConfigProblem[];
  /** What is accepted and has no effect, one line each. */
  readonly notices: readonly string[];
}

/** The candidate nearest to `word`, when it is near enough to be what was meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** How many letters must be inserted, removed or changed to make `b` of `a` (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const change = a[row - 1] === b[column - 1] ? 0 : 1;
      current.push(
        Math.min(
          (previous[column] ?? 0) + 1,
          (current[column - 1] ?? 0) + 1,
          (previous[column - 1] ?? 0) + change,
        ),
      );
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}

/** Keys of earlier versions, and what to do instead. */
const REPLACED: ReadonlyMap<string, string> = new Map(
  ['projections', 'processes'].map((role) => [
    `${role}.enabled`,
    `replaced by service.roles: leave ${role} out of it (${variableFor('service.roles')}, or serve --roles)`,
  ]),
);

/** Keys of earlier versions, in lower case, that are still accepted and do nothing, and why. */
const WITHOUT_EFFECT: ReadonlyMap<string, string> = new Map([
  ['nats.leanrequests', 'requests to NATS are made in one way only; remove the setting'],
  ['commands.maxattempts', 'a command is decided again until commands.deadlineMs; remove the setting'],
]);

/** What to say of a key that has no effect; undefined for one that has, or never had. */
function noticeOf(name: string, key: string, origin: string): string | undefined {
  const why = WITHOUT_EFFECT.get(name.toLowerCase());
  return why === undefined ? undefined : `${key} (${origin}) has no effect any more: ${why}`;
}

/** What to do instead of a key that is no more; undefined for one that never was. */
export function replacementOf(name: string): string | undefined {
  return REPLACED.get(name);
}

/** What an optional file says that is not there. */
export const NO_FILE: Layer = { settings: new Map(), problems: [], notices: [] };

/** Reads one configuration file; what is wrong with it is in the layer's problems. */
export function readFileLayer(dir: string, name: string, { optional = false } = {}): Layer {
  const origin = join(basename(dir), name);
  const path = join(dir, name);
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (optional && code === 'ENOENT') return NO_FILE;
    const problems = [{ key: path, message: `cannot be read (${code})` }];
    return { settings: new Map(), problems, notices: [] };
  }
  const document = parseDocument(source);
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message }) => ({
      key: path,
      message: `is not valid YAML: ${firstLineOf(message)}`,
    }));
    return { settings: new Map(), problems, notices: [] };
  }
  const found = { settings: new Map<string, Setting>(), problems: [], notices: [] };
  let tree: unknown;
  try {
    tree = document.toJS();
    // Whatever is wrong with a value is said with the value.
    JSON.stringify(tree);
  } catch (error) {
    // Aliases are looked up only now: one that stands for nothing, as the * of all origins, for too much, or for itself.
    const why = error instanceof Error ? error.message : String(error);
    const message = `is not valid YAML: ${firstLineOf(why)}; a text that begins with * needs quotes`;
    return { settings: new Map(), problems: [{ key: path, message }], notices: [] };
  }
  collect(tree, '', origin, found);
  return found;
}

/** The rest of it shows the place, below a colon. */
const firstLineOf = (message: string): string => (message.split('\n')[0] ?? '').replace(/:\s*$/, '');

interface Found {
  readonly settings: Map<string, Setting>;
  readonly problems: ConfigProblem[];
  readonly notices: string[];
}

function collect(node: unknown, name: string, origin: string, found: Found): void {
  const { settings, problems, notices } = found;
  const notice = noticeOf(name, name, origin);
  if (KEYS_BY_NAME.has(name)) {
    settings.set(name, { value: node, origin });
  } else if (notice !== undefined) {
    notices.push(notice);
  } else if (name !== '' && !SECTION_NAMES.has(name)) {
    problems.push(unknownKey(name, origin));
  } else if (isTree(node)) {
    for (const [part, child] of Object.entries(node)) {
      collect(child, name === '' ? part : `${name}.${part}`, origin, found);
    }
  } else if (node !== null) {
    const where = name === '' ? origin : name;
    problems.push({
      key: where,
      message: `given ${JSON.stringify(node)} (${origin}); allowed: a section with keys`,
    });
  }
}

function unknownKey(name: string, origin: string): ConfigProblem {
  const replaced = replacementOf(name);
  if (replaced !== undefined) return { key: name, message: `${replaced} (${origin})` };
  const hint = nearest(name, [...KEYS_BY_NAME.keys(), ...SECTION_NAMES]);
  return {
    key: name,
    message: `no such key (${origin})${hint === undefined ? '' : `; did you mean ${hint}?`}`,
  };
}

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
  const notices: string[] = [];
  for (const [alias, name] of ALIASES) {
    const text = env[alias];
    if (text !== undefined && text !== '') settings.set(name, { value: fromText(name, text), origin: alias });
  }
  const names = new Map(CONFIG_KEYS.map((key) => [normalise(key.variable), key.name]));
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || OTHER_VARIABLES.includes(variable) || text === undefined) continue;
    const name = names.get(normalise(variable));
    const notice = noticeOf(normalise(variable), variable, 'environment');
    if (name !== undefined) settings.set(name, { value: fromText(name, text), origin: variable });
    else if (notice !== undefined) notices.push(notice);
    else problems.push(unknownVariable(variable));
  }
  return { settings, problems, notices };
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
