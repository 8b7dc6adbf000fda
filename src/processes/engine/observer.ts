import type { RecordedCommit, StoredTrace } from '../../eventstore/index.ts';
import type { DeadLetter } from './dead-letters/entry.ts';

/** One try of a consumer at a commit. */
export interface Work {
  readonly consumer: string;
  readonly commit: RecordedCommit;
  /** 1 for the first try in this process. */
  readonly attempt: number;
  readonly redriven: boolean;
  /** True when an earlier owner of the group had begun with it and nothing says that it finished. */
  readonly redelivered?: boolean;
  /** Of the request of an operator that it be handled again. */
  readonly requestedBy?: StoredTrace | undefined;
}

/** What came of a commit: `behind` = parked behind an earlier one, `known` = it was done or parked already. */
export type Outcome = 'handled' | 'retried' | 'parked' | 'behind' | 'known' | 'stopped';

/** Told what the engine does, for traces and metrics. What it throws is not caught: it must not throw. */
export interface EngineObserver {
  /** Runs a try inside a context of the observer's own; must call `handle` once and pass on what it throws. */
  around?(work: Work, handle: () => Promise<void>): Promise<void>;
  outcome?(work: Work, outcome: Outcome, error?: unknown): void;
  discarded?(entry: DeadLetter): void;
  /** The groups of a consumer that this process owns have changed. */
  groups?(consumer: string, owned: readonly number[]): void;
}

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
