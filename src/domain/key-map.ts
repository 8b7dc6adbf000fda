/**
 * A persistent map from strings to values, as plain data: a B-tree.
 *
 * State that grows with the history must not be copied by every event: a change copies one path of the tree
 * (logarithmic) and shares the rest, so older versions stay valid. Nodes are plain objects, because snapshots
 * are structured clones, and the order is by key, so no choice of keys can make it slow as with a hash.
 */
export interface KeyMap<V> {
  readonly entries: readonly Entry<V>[];
  /** Empty in a leaf, otherwise one more than entries. */
  readonly children: readonly KeyMap<V>[];
}

interface Entry<V> {
  readonly key: string;
  readonly value: V;
}

/** Two halves of a node that grew too large, and the entry between them. */
interface Split<V> {
  readonly left: KeyMap<V>;
  readonly middle: Entry<V>;
  readonly right: KeyMap<V>;
}

const MAX_ENTRIES = 32;
/** A node below this is joined with its neighbour; half of a split node is far above, so the two never alternate. */
const MIN_ENTRIES = 8;

/** A map without entries. */
export const emptyKeyMap: KeyMap<never> = { entries: [], children: [] };

/** The value kept for `key`, or undefined. */
export function getKey<V>(map: KeyMap<V>, key: string): V | undefined {
  let node: KeyMap<V> | undefined = map;
  while (node !== undefined) {
    const index = lowerBound(node.entries, key);
    const entry = node.entries[index];
    if (entry?.key === key) return entry.value;
    node = node.children[index];
  }
  return undefined;
}

/** The same map with `value` for `key`, in place of what was there. */
export function putKey<V>(map: KeyMap<V>, key: string, value: V): KeyMap<V> {
  const grown = insert(map, { key, value });
  return 'middle' in grown ? { entries: [grown.middle], children: [grown.left, grown.right] } : grown;
}

/** The same map without `key`; the very same object when it was not there. */
export function deleteKey<V>(map: KeyMap<V>, key: string): KeyMap<V> {
  const shrunk = remove(map, key);
  const [only] = shrunk.children;
  return shrunk.entries.length === 0 && only !== undefined ? only : shrunk;
}

function remove<V>(node: KeyMap<V>, key: string): KeyMap<V> {
  const { entries, children } = node;
  const index = lowerBound(entries, key);
  const found = entries[index]?.key === key;
  const child = children[index];
  if (child === undefined) return found ? { entries: entries.toSpliced(index, 1), children } : node;
  // An entry between two children gives its place to the greatest one before it, which is in a leaf.
  const heir = found ? greatest(child) : undefined;
  const shrunk = remove(child, heir?.key ?? key);
  if (shrunk === child) return node;
  const kept = heir === undefined ? entries : entries.with(index, heir);
  return refill({ entries: kept, children: children.with(index, shrunk) }, index);
}

function greatest<V>(node: KeyMap<V>): Entry<V> | undefined {
  const last = node.children.at(-1);
  return last === undefined ? node.entries.at(-1) : greatest(last);
}

/** Joins the child at `index`, when it has become too small, with a neighbour; both are balanced when that is too large. */
function refill<V>(node: KeyMap<V>, index: number): KeyMap<V> {
  const { entries, children } = node;
  if ((children[index]?.entries.length ?? 0) >= MIN_ENTRIES) return node;
  const at = Math.max(0, index - 1);
  const left = children[at];
  const middle = entries[at];
  const right = children[at + 1];
  if (left === undefined || middle === undefined || right === undefined) return node;
  const joined = splitIfLarge({
    entries: [...left.entries, middle, ...right.entries],
    children: [...left.children, ...right.children],
  });
  if (!('middle' in joined)) {
    return { entries: entries.toSpliced(at, 1), children: children.toSpliced(at, 2, joined) };
  }
  return {
    entries: entries.with(at, joined.middle),
    children: children.toSpliced(at, 2, joined.left, joined.right),
  };
}

function insert<V>(node: KeyMap<V>, entry: Entry<V>): KeyMap<V> | Split<V> {
  const { entries, children } = node;
  const index = lowerBound(entries, entry.key);
  if (entries[index]?.key === entry.key) return { entries: entries.with(index, entry), children };
  const child = children[index];
  if (child === undefined) return splitIfLarge({ entries: entries.toSpliced(index, 0, entry), children });
  const grown = insert(child, entry);
  if (!('middle' in grown)) return { entries, children: children.with(index, grown) };
  return splitIfLarge({
    entries: entries.toSpliced(index, 0, grown.middle),
    children: children.toSpliced(index, 1, grown.left, grown.right),
  });
}

function splitIfLarge<V>(node: KeyMap<V>): KeyMap<V> | Split<V> {
  const at = node.entries.length >> 1;
  const middle = node.entries[at];
  if (node.entries.length <= MAX_ENTRIES || middle === undefined) return node;
  return {
    left: { entries: node.entries.slice(0, at), children: node.children.slice(0, at + 1) },
    middle,
    right: { entries: node.entries.slice(at + 1), children: node.children.slice(at + 1) },
  };
}

/** The index of the first entry whose key is not below `key`. */
function lowerBound(entries: readonly Entry<unknown>[], key: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = entries[middle];
    if (entry !== undefined && entry.key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A map as two lists in the order of its keys: the same for the same entries, and quick to store and to read. */
export interface PackedKeys<V> {
  readonly keys: readonly string[];
  readonly values: readonly V[];
}

/** Calls `visit` with every entry, in the order of the keys. */
export function forEachKey<V>(map: KeyMap<V>, visit: (key: string, value: V) => void): void {
  const { entries, children } = map;
  for (let i = 0; i <= entries.length; i++) {
    const [child, entry] = [children[i], entries[i]];
    if (child !== undefined) forEachKey(child, visit);
    if (entry !== undefined) visit(entry.key, entry.value);
  }
}

/** The map as lists. */
export function packKeys<V>(map: KeyMap<V>): PackedKeys<V> {
  const [keys, values]: [string[], V[]] = [[], []];
  forEachKey(map, (key, value) => {
    keys.push(key);
    values.push(value);
  });
  return { keys, values };
}

/** The map of such lists, evenly filled. */
export function unpackKeys<V>({ keys, values }: PackedKeys<V>): KeyMap<V> {
  const entries = keys.map((key, i) => ({ key, value: values[i] as V }));
  let room = MAX_ENTRIES;
  while (room < entries.length) room = roomAbove(room);
  return build(entries, room);
}

/** What a node holds whose children hold `room` each. */
const roomAbove = (room: number): number => (MAX_ENTRIES + 1) * (room + 1) - 1;

/** @param room what a tree of this height can hold; all leaves are at the same depth */
function build<V>(entries: readonly Entry<V>[], room: number): KeyMap<V> {
  if (room === MAX_ENTRIES) return { entries, children: [] };
  const below = (room + 1) / (MAX_ENTRIES + 1) - 1;
  const count = Math.ceil((entries.length + 1) / (below + 1));
  const between: Entry<V>[] = [];
  const children: KeyMap<V>[] = [];
  let from = 0;
  for (let i = 1; i <= count; i++) {
    const to = Math.floor((i * (entries.length + 1)) / count) - 1;
    children.push(build(entries.slice(from, to), below));
    const entry = entries[to];
    if (entry !== undefined) between.push(entry);
    from = to + 1;
  }
  return { entries: between, children };
}

/** A persistent set of strings, as plain data; see `KeyMap`. */
export type KeySet = KeyMap<true>;

/** A set without keys. */
export const emptyKeySet: KeySet = { entries: [], children: [] };

/** Whether `key` was added. */
export function hasKey(set: KeySet, key: string): boolean {
  return getKey(set, key) === true;
}

/** The same set with `key` in it; the very same object when it was there already. */
export function addKey(set: KeySet, key: string): KeySet {
  return hasKey(set, key) ? set : putKey(set, key, true);
}
