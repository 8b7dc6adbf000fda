/** What was used lately, up to a bound. */
export interface BoundedCache<Value> {
  get(key: string): Value | undefined;
  has(key: string): boolean;
  set(key: string, value: Value): void;
  /** Returns what was there. */
  delete(key: string): Value | undefined;
  /** How many there are. */
  size(): number;
}

/** A second bound, on what entries weigh together. The weight of a value must not change while it is in the cache. */
export interface Weight<Value> {
  readonly limit: number;
  of(value: Value): number;
}

/**
 * Keeps between half of `limit` and `limit` entries, and forgets those that were not used for longest: entries are in
 * one of two halves, and when the young half is full, the old one is dropped and they change places. What is read from
 * the young half moves nothing, where a list in the exact order of use is written at each read.
 * @param limit how many at the most; 0 keeps none
 * @param weight where entries differ in size; a single one may weigh more than half of the limit
 * @internal
 */
export function createBoundedCache<Value>(limit: number, weight?: Weight<Value>): BoundedCache<Value> {
  const half = Math.max(1, Math.floor(limit / 2));
  const halfWeight = (weight?.limit ?? 0) / 2;
  let young = new Map<string, Value>();
  let old = new Map<string, Value>();
  let youngWeight = 0;

  const isFull = (): boolean => young.size >= half || (weight !== undefined && youngWeight >= halfWeight);

  function leaveYoung(key: string): Value | undefined {
    const value = young.get(key);
    if (value === undefined) return undefined;
    young.delete(key);
    if (weight !== undefined) youngWeight -= weight.of(value);
    return value;
  }

  function keep(key: string, value: Value): void {
    if (weight !== undefined) leaveYoung(key);
    if (isFull() && !young.has(key)) {
      old = limit > 1 ? young : new Map();
      young = new Map();
      youngWeight = 0;
    }
    young.set(key, value);
    if (weight !== undefined) youngWeight += weight.of(value);
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
      const value = leaveYoung(key) ?? old.get(key);
      old.delete(key);
      return value;
    },
    size: () => young.size + old.size,
  };
}
