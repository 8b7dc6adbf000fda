/** Aggregates that met a conflict a short while ago; a bounded memory. */
export interface Contended {
  add(key: string): void;
  has(key: string): boolean;
}

/** More are forgotten, the oldest first. */
const LIMIT = 10_000;

/** @param now the clock that `keepMs` is measured with, in milliseconds */
export function createContended(now: () => number, keepMs: number): Contended {
  const until = new Map<string, number>();
  return {
    add: (key) => {
      until.delete(key);
      until.set(key, now() + keepMs);
      if (until.size <= LIMIT) return;
      for (const oldest of until.keys()) {
        until.delete(oldest);
        break;
      }
    },
    has: (key) => {
      const end = until.get(key);
      if (end === undefined) return false;
      if (end > now()) return true;
      until.delete(key);
      return false;
    },
  };
}
