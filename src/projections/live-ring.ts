import type { LiveEntry } from './live-fold.ts';

/** The newest commits, up to a number of them. */
export interface LiveRing {
  push(entry: LiveEntry): void;
  /** Everything above this position is still here. */
  floor(): number;
  /** What lies at a position or above it, oldest first. */
  from(position: number): LiveEntry[];
}

/**
 * @param capacity 1 or more
 * @param floor the position behind which it begins
 */
export function createLiveRing(capacity: number, floor: number): LiveRing {
  const slots: LiveEntry[] = [];
  /** Where the oldest one is, once all slots are in use. */
  let oldest = 0;
  let below = floor;

  const at = (index: number): LiveEntry | undefined => slots[(oldest + index) % slots.length];
  const firstFrom = (position: number): number => {
    let low = 0;
    let high = slots.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((at(middle)?.commit.position ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    push: (entry) => {
      if (slots.length < capacity) {
        slots.push(entry);
        return;
      }
      below = slots[oldest]?.commit.position ?? below;
      slots[oldest] = entry;
      oldest = (oldest + 1) % capacity;
    },
    floor: () => below,
    from: (position) => {
      const first = firstFrom(position);
      return Array.from({ length: slots.length - first }, (_, index) => at(first + index)).filter(
        (entry) => entry !== undefined,
      );
    },
  };
}
