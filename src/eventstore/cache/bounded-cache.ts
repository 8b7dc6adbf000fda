/** What was used lately, up to a bound. */
export interface BoundedCache<Value> {
  get(key: string): Value | undefined;
  has(key: string): boolean;
  set(key: string, value: Value): void;
  /** Returns what was there. */
  delete(key: string): Value | undefined;
  /** How many there are. */
  size(): number;
  /** What they weigh together, each as it was when it was last set; 0 without weights. */
  weight(): number;
}

/** A second bound, on what entries weigh together. One that is alone may weigh more. */
export interface Weight<Value> {
  readonly limit: number;
  /** Asked once each time that a value is set. */
  of(value: Value): number;
}

interface Slot<Value> {
  readonly key: string;
  value: Value;
  weight: number;
  used: boolean;
}

/**
 * Keeps what fits, and forgets what was not used for long: a hand goes around, forgets what was not used since it came by
 * last, and stops as soon as the rest fits. A read marks its entry and moves nothing, where a list in the exact order of
 * use is written at each read. What came last stays, whatever it weighs.
 * @param limit how many at the most; 0 keeps none
 * @param weight where entries differ in size
 * @internal
 */
export function createBoundedCache<Value>(limit: number, weight?: Weight<Value>): BoundedCache<Value> {
  const slots = new Map<string, Slot<Value>>();
  // Only while it moves: an iterator that rests keeps every table that its map has outgrown.
  let hand: MapIterator<Slot<Value>> | undefined;
  let held = 0;

  const isTooMuch = (): boolean =>
    slots.size > limit || (weight !== undefined && held > weight.limit && slots.size > 1);

  function remove(slot: Slot<Value>): void {
    slots.delete(slot.key);
    held -= slot.weight;
  }

  function makeRoom(newest: Slot<Value>): void {
    while (isTooMuch()) {
      hand ??= slots.values();
      const { done, value: slot } = hand.next();
      if (done === true) hand = undefined;
      else if (slot.used) slot.used = false;
      else if (slot !== newest) remove(slot);
    }
  }

  return {
    get: (key) => {
      const slot = slots.get(key);
      if (slot === undefined) return undefined;
      slot.used = true;
      return slot.value;
    },
    has: (key) => slots.has(key),
    set: (key, value) => {
      if (limit === 0) return;
      const weighs = weight?.of(value) ?? 0;
      let slot = slots.get(key);
      if (slot === undefined) {
        slot = { key, value, weight: 0, used: false };
        slots.set(key, slot);
      } else {
        slot.value = value;
        slot.used = true;
      }
      held += weighs - slot.weight;
      slot.weight = weighs;
      if (isTooMuch()) makeRoom(slot);
    },
    delete: (key) => {
      const slot = slots.get(key);
      if (slot !== undefined) remove(slot);
      return slot?.value;
    },
    size: () => slots.size,
    weight: () => held,
  };
}
