/** What was used lately, a bounded number of entries. */
export interface RecentCache<Value> {
  get(key: string): Value | undefined;
  has(key: string): boolean;
  set(key: string, value: Value): void;
  delete(key: string): void;
  readonly size: () => number;
}

/**
 * Keeps between half of `limit` and `limit` entries, and forgets those that were not used for longest: entries are in
 * one of two halves, and when the young half is full, the old one is dropped and they change places. What is read from
 * the young half moves nothing, where a list in the exact order of use is written at each read.
 * @param limit how many at the most; 0 keeps none
 */
export function createRecentCache<Value>(limit: number): RecentCache<Value> {
  const half = Math.max(1, Math.floor(limit / 2));
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();

  function keep(key: string, value: Value): void {
    if (young.size >= half && !young.has(key)) {
      old = limit > 1 ? young : new Map();
      young = new Map();
    }
    young.set(key, value);
    old.delete(key);
  }

  return {
    get: (key) => {
      const used = young.get(key);
      if (used !== undefined || old.size === 0) return used;
      const value = old.get(key);
      if (value !== undefined) keep(key, value);
      return value;
    },
    has: (key) => young.has(key) || old.has(key),
    set: (key, value) => {
      if (limit > 0) keep(key, value);
    },
    delete: (key) => {
      young.delete(key);
      old.delete(key);
    },
    size: () => young.size + old.size,
  };
}
