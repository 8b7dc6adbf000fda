/** A set of keys in ascending order of their UTF-16 units. */
export interface SortedKeys {
  readonly size: number;
  add(key: string): void;
  delete(key: string): void;
  /** Up to `limit` keys above `after`, ascending; undefined = from the first. */
  after(after: string | undefined, limit: number): readonly string[];
}

/** A set of these keys, in any order. Adding one later moves what lies above it: fine for changes, not for filling. */
export function createSortedKeys(start: Iterable<string> = []): SortedKeys {
  const keys = [...new Set(start)].sort();

  /** Index of the first key that is not below `key`. */
  const lowerBound = (key: string): number => {
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    get size() {
      return keys.length;
    },
    add: (key) => {
      const at = lowerBound(key);
      if (keys[at] !== key) keys.splice(at, 0, key);
    },
    delete: (key) => {
      const at = lowerBound(key);
      if (keys[at] === key) keys.splice(at, 1);
    },
    after: (after, limit) => {
      let at = 0;
      if (after !== undefined) {
        at = lowerBound(after);
        if (keys[at] === after) at++;
      }
      return keys.slice(at, at + limit);
    },
  };
}
