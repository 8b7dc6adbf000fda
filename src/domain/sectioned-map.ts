import {
  deleteKey,
  emptyKeyMap,
  forEachKey,
  getKey,
  type KeyMap,
  type PackedKeys,
  packKeys,
  putKey,
  unpackKeys,
} from './key-map.ts';

/** How a sectioned map is kept; part of the map, because every process must divide it at the same change. */
export interface SectionLimits {
  /** With more keys than this it is divided, for good. */
  readonly inOnePiece: number;
  /** Into how many sections, by a hash of the key. */
  readonly sections: number;
  /** How many changes make a generation. */
  readonly generation: number;
}

/**
 * A persistent map, as plain data, of which a part may be elsewhere: one that has grown large is divided into sections,
 * and a section that is not here comes back when it is asked for. Changes do not need it: those of this generation and
 * the one before are remembered, and brought to a section that was taken since the one before began.
 */
export interface SectionedMap<V> {
  readonly limits: SectionLimits;
  /** One that is never away until the map is divided; null: it is elsewhere. One that is here is never behind. */
  readonly sections: readonly (KeyMap<V> | null)[];
  /** How many keys there are, until the map is divided. */
  readonly size: number;
  /** 0 until the map is divided. */
  readonly generation: number;
  /** How many changes this generation has seen. */
  readonly changes: number;
  /** What the keys that this generation has changed are now; null: not there. */
  readonly latest: KeyMap<V | null>;
  /** What the generation before left of those that it had changed. */
  readonly before: KeyMap<V | null>;
}

/** A map without keys. */
export function emptySectionedMap<V>(limits: SectionLimits): SectionedMap<V> {
  const counts = { size: 0, generation: 0, changes: 0 };
  return { limits, sections: [emptyKeyMap], ...counts, latest: emptyKeyMap, before: emptyKeyMap };
}

/** The value kept for `key`, or undefined. @throws Error when its section is not here */
export function lookUp<V>({ sections }: SectionedMap<V>, key: string): V | undefined {
  const section = sections[sectionOf(key, sections.length)];
  // Absence must never be read from what is not here.
  if (!section) throw new Error('The section of this key is not loaded.');
  return getKey(section, key);
}

/** The index of the section of `key` when it is not here. */
export function lackingFor({ sections }: SectionedMap<unknown>, key: string): number | undefined {
  const index = sectionOf(key, sections.length);
  return sections[index] === null ? index : undefined;
}

/** The same map with `value` for `key`, or without the key when that is null; its section need not be here. */
export function setIn<V>(map: SectionedMap<V>, key: string, value: V | null): SectionedMap<V> {
  const index = sectionOf(key, map.sections.length);
  const section = map.sections[index];
  const sections = section ? map.sections.with(index, changed(section, key, value)) : map.sections;
  if (map.generation === 0) {
    const before = section ? getKey(section, key) : undefined;
    const size = map.size + Number(value !== null) - Number(before !== undefined);
    return size > map.limits.inOnePiece ? divided({ ...map, sections, size }) : { ...map, sections, size };
  }
  if (map.changes < map.limits.generation) {
    return { ...map, sections, changes: map.changes + 1, latest: putKey(map.latest, key, value) };
  }
  const latest = putKey<V | null>(emptyKeyMap, key, value);
  return { ...map, sections, generation: map.generation + 1, changes: 1, latest, before: map.latest };
}

function changed<V>(section: KeyMap<V>, key: string, value: V | null): KeyMap<V> {
  return value === null ? deleteKey(section, key) : putKey(section, key, value);
}

function divided<V>(map: SectionedMap<V>): SectionedMap<V> {
  const sections = Array.from({ length: map.limits.sections }, (): KeyMap<V> => emptyKeyMap);
  forEachKey(map.sections[0] ?? emptyKeyMap, (key, value) => {
    const index = sectionOf(key, sections.length);
    sections[index] = putKey(sections[index] ?? emptyKeyMap, key, value);
  });
  return { ...map, sections, generation: 1 };
}

/** How many sections there are; none until the map is divided. */
export function countSections({ generation, sections }: SectionedMap<unknown>): number {
  return generation === 0 ? 0 : sections.length;
}

/** A section, to be kept elsewhere; undefined when it is not here. */
export function takeSection<V>(map: SectionedMap<V>, index: number): PackedKeys<V> | undefined {
  const section = map.generation === 0 ? undefined : map.sections[index];
  return section ? packKeys(section) : undefined;
}

/** The map with a section that was taken from it in this generation or the one before. */
export function putSection<V>(map: SectionedMap<V>, index: number, taken: PackedKeys<V>): SectionedMap<V> {
  if (map.sections[index]) return map;
  let section = unpackKeys(taken);
  for (const changes of [map.before, map.latest]) {
    forEachKey(changes, (key, value) => {
      if (sectionOf(key, map.sections.length) === index) section = changed(section, key, value);
    });
  }
  return { ...map, sections: map.sections.with(index, section) };
}

/** A map without its sections, as few bytes. */
export interface PackedMap<V> extends Omit<SectionedMap<V>, 'sections' | 'latest' | 'before'> {
  /** All there is, until the map is divided. */
  readonly whole: PackedKeys<V> | undefined;
  readonly latest: PackedKeys<V | null>;
  readonly before: PackedKeys<V | null>;
}

/** What a map is but for its sections. */
export function packMap<V>({ sections, latest, before, ...rest }: SectionedMap<V>): PackedMap<V> {
  const whole = rest.generation === 0 ? packKeys(sections[0] ?? emptyKeyMap) : undefined;
  return { ...rest, whole, latest: packKeys(latest), before: packKeys(before) };
}

/** The map of which `packMap` kept all but the sections; those are elsewhere. */
export function unpackMap<V>({ whole, latest, before, ...rest }: PackedMap<V>): SectionedMap<V> {
  const none = (): null[] => Array.from({ length: rest.limits.sections }, () => null);
  const sections = whole === undefined ? none() : [unpackKeys(whole)];
  return { ...rest, sections, latest: unpackKeys(latest), before: unpackKeys(before) };
}

/** FNV-1a over the key's UTF-16 units, mixed once more. */
function sectionOf(key: string, count: number): number {
  if (count === 1) return 0;
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return ((hash ^ (hash >>> 13)) >>> 0) % count;
}
