import { expect, test } from 'vitest';
import {
  addKey,
  deleteKey,
  emptyKeyMap,
  emptyKeySet,
  getKey,
  hasKey,
  type KeyMap,
  type KeySet,
  packKeys,
  putKey,
  unpackKeys,
} from '../../../src/domain/key-map.ts';

function nodesOf<V>(map: KeyMap<V>): KeyMap<V>[] {
  return [map, ...map.children.flatMap(nodesOf)];
}

function filled(size: number): KeySet {
  let set = emptyKeySet;
  for (let i = 0; i < size; i++) set = addKey(set, `key-${i}`);
  return set;
}

test('adding to ten thousand keys copies a few small nodes and shares all others', () => {
  const before = filled(10_000);
  const shared = new Set(nodesOf(before));
  const fresh = nodesOf(addKey(before, 'one more')).filter((node) => !shared.has(node));
  expect(fresh.length).toBeLessThanOrEqual(9);
  expect(Math.max(...fresh.map((node) => node.entries.length))).toBeLessThanOrEqual(32);
});

test('ten thousand keys are all found, and no others', () => {
  const set = filled(10_000);
  for (let i = 0; i < 10_000; i++) expect(hasKey(set, `key-${i}`)).toBe(true);
  expect(hasKey(set, 'key-10000')).toBe(false);
});

test('keys that arrive in order do not make the tree deep', () => {
  let depth = 0;
  for (let node: KeySet | undefined = filled(10_000); node !== undefined; node = node.children[0]) depth++;
  expect(depth).toBeLessThanOrEqual(4);
});

test('adding a key that is there answers the very same set', () => {
  const set = filled(100);
  expect(addKey(set, 'key-7')).toBe(set);
});

test('a value can be replaced, and the older map keeps the old one', () => {
  const before = putKey<number>(emptyKeyMap, 'a', 1);
  const after = putKey(before, 'a', 2);
  expect([getKey(before, 'a'), getKey(after, 'a')]).toEqual([1, 2]);
});

test('names of object properties are keys like any others', () => {
  expect(hasKey(emptyKeySet, '__proto__')).toBe(false);
  expect(hasKey(addKey(emptyKeySet, '__proto__'), '__proto__')).toBe(true);
  expect(hasKey(addKey(emptyKeySet, ''), '')).toBe(true);
});

test('deleting from ten thousand keys copies a few small nodes and shares all others', () => {
  const before = filled(10_000);
  const shared = new Set(nodesOf(before));
  for (const key of ['key-0', 'key-5000', before.entries[0]?.key ?? '']) {
    const fresh = nodesOf(deleteKey(before, key)).filter((node) => !shared.has(node));
    expect(fresh.length).toBeLessThanOrEqual(9);
  }
});

test('deleting a key that is not there answers the very same map', () => {
  const set = filled(1_000);
  expect(deleteKey(set, 'key-1000')).toBe(set);
});

test('a map from which everything was deleted is empty again', () => {
  let set = filled(2_000);
  for (let i = 0; i < 2_000; i++) set = deleteKey(set, `key-${(i * 7) % 2_000}`);
  expect(set).toEqual(emptyKeySet);
});

test('a map that was packed holds the same, is as flat, and changes as any other', () => {
  const depths = (map: KeyMap<true>): number[] =>
    map.children.length === 0 ? [1] : map.children.flatMap((child) => depths(child).map((d) => d + 1));
  for (const size of [0, 1, 31, 32, 33, 64, 65, 1_000, 1_088, 1_089, 5_000]) {
    const before = filled(size);
    const again = unpackKeys(packKeys(before));
    expect(packKeys(again)).toEqual(packKeys(before));
    expect(new Set(depths(again)).size).toBe(1);
    const [root, ...others] = nodesOf(again);
    expect(root?.entries.length).toBeLessThanOrEqual(32);
    for (const { entries } of others) {
      expect(entries.length).toBeGreaterThanOrEqual(8);
      expect(entries.length).toBeLessThanOrEqual(32);
    }
    let left = addKey(again, 'one more');
    expect(hasKey(left, 'one more')).toBe(true);
    for (const key of packKeys(left).keys) left = deleteKey(left, key);
    expect(left).toEqual(emptyKeySet);
  }
});
