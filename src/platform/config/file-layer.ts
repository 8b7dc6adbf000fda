import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseDocument } from 'yaml';
import type { ConfigProblem } from './errors.ts';
import { KEYS_BY_NAME, SECTION_NAMES } from './keys.ts';
import { replacementOf } from './replaced-keys.ts';
import type { Layer, Setting } from './settings.ts';
import { nearest } from './suggest.ts';
import { isTree } from './tree.ts';

/** Reads one configuration file; what is wrong with it is in the layer's problems. */
export function readFileLayer(dir: string, name: string): Layer {
  const origin = join(basename(dir), name);
  const path = join(dir, name);
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { settings: new Map(), problems: [{ key: path, message: `cannot be read (${code})` }] };
  }
  const document = parseDocument(source);
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ message }) => ({
      key: path,
      message: `is not valid YAML: ${message.split('\n')[0]}`,
    }));
    return { settings: new Map(), problems };
  }
  const settings = new Map<string, Setting>();
  const problems: ConfigProblem[] = [];
  collect(document.toJS(), '', origin, settings, problems);
  return { settings, problems };
}

function collect(
  node: unknown,
  name: string,
  origin: string,
  settings: Map<string, Setting>,
  problems: ConfigProblem[],
): void {
  if (KEYS_BY_NAME.has(name)) {
    settings.set(name, { value: node, origin });
  } else if (name !== '' && !SECTION_NAMES.has(name)) {
    problems.push(unknownKey(name, origin));
  } else if (isTree(node)) {
    for (const [part, child] of Object.entries(node)) {
      collect(child, name === '' ? part : `${name}.${part}`, origin, settings, problems);
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
