import type { EngineObserver, Work } from './observer.ts';

/**
 * Several observers as one. Contexts are nested, the first outside; the rest is told in the order given. Absent ones
 * are left out, and of a single one nothing is wrapped.
 */
export function combineObservers(...given: readonly (EngineObserver | undefined)[]): EngineObserver {
  const observers = given.filter((observer) => observer !== undefined);
  const [only] = observers;
  if (only !== undefined && observers.length === 1) return only;
  const arounds = observers.flatMap((observer) => {
    const { around } = observer;
    return around === undefined ? [] : [around.bind(observer)];
  });
  const nested = (work: Work, handle: () => Promise<void>): Promise<void> =>
    arounds.reduceRight<() => Promise<void>>((inner, around) => () => around(work, inner), handle)();
  return {
    ...(arounds.length > 0 && { around: nested }),
    outcome: (work, outcome, error) => {
      for (const observer of observers) observer.outcome?.(work, outcome, error);
    },
    discarded: (entry) => {
      for (const observer of observers) observer.discarded?.(entry);
    },
    groups: (consumer, owned) => {
      for (const observer of observers) observer.groups?.(consumer, owned);
    },
  };
}
