import type { StoreObserver } from '../observer.ts';

/** Tells an observer once of each state where it came from, which for a cold one shows only later. */
export interface LoadTelling {
  /** A snapshot was loaded, or nothing was at hand. */
  cold(folded: object, from: 'snapshot' | 'nothing'): void;
  /** `commits` were folded in from the log; `exists`: whether there is an aggregate now. */
  read(folded: object, commits: number, exists: boolean): void;
  /** It was good enough to append on, or is kept for other reasons. */
  kept(folded: object): void;
}

/** Nothing without an observer that asks for it. */
export function createLoadTelling(observer: StoreObserver | undefined): LoadTelling | undefined {
  if (observer?.loaded === undefined && observer?.snapshotAge === undefined) return undefined;
  const pending = new WeakMap<object, 'snapshot' | 'nothing'>();
  return {
    cold: (folded, from) => {
      if (from === 'snapshot') observer.loaded?.('snapshot');
      pending.set(folded, from);
    },
    read: (folded, commits, exists) => {
      const from = pending.get(folded);
      if (from === undefined) return;
      pending.delete(folded);
      if (from === 'snapshot') observer.snapshotAge?.(commits);
      else observer.loaded?.(exists ? 'log' : 'new');
    },
    kept: (folded) => {
      if (pending.get(folded) !== 'snapshot') return;
      pending.delete(folded);
      observer.snapshotAge?.(0);
    },
  };
}
