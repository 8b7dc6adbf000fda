import { emptyKeyMap, getKey, type KeyMap, putKey } from './key-map.ts';

/** A persistent set of strings, as plain data; see `KeyMap`. */
export type KeySet = KeyMap<true>;

/** A set without keys. */
export const emptyKeySet: KeySet = emptyKeyMap;

/** Whether `key` was added. */
export function hasKey(set: KeySet, key: string): boolean {
  return getKey(set, key) === true;
}

/** The same set with `key` in it; the very same object when it was there already. */
export function addKey(set: KeySet, key: string): KeySet {
  return hasKey(set, key) ? set : putKey(set, key, true);
}
