import type { Around, RecordedCommit, StoredTrace } from '../../eventstore/index.ts';
import type { DeadLetter } from './dead-letters/entry.ts';
import type { Fired, Timer } from './timers/timers.ts';

/** One try of a consumer at a commit. */
export interface DeliveryAttempt {
  readonly consumer: string;
  readonly commit: RecordedCommit;
  /** 1 for the first try in this process. */
  readonly attempt: number;
  readonly redriven: boolean;
  /** True when an earlier owner of the group had begun with it and nothing says that it finished. */
  readonly redelivered?: boolean;
  /** True when an earlier owner of the group could have handled it. */
  readonly maybeHandled?: boolean;
  /** Of the request of an operator that it be handled again. */
  readonly requestedBy?: StoredTrace | undefined;
}

/**
 * What came of a commit: `parked` = it became a dead letter, `behind` = one behind an earlier one, `known` = it was
 * done or a dead letter already.
 */
export type Outcome = 'handled' | 'retried' | 'parked' | 'behind' | 'known' | 'stopped';

/**
 * Told what the engine does, for logs, metrics and traces. A plain object of functions, each of which may be absent.
 * What they throw is not caught: they must not throw.
 */
export interface EngineObserver {
  readonly aroundTry?: Around<DeliveryAttempt, void>;
  /** What came of a commit. `ms`: how long the try took; absent for what was not tried. */
  outcome?(tried: DeliveryAttempt, outcome: Outcome, error?: unknown, ms?: number): void;
  discarded?(entry: DeadLetter): void;
  readonly aroundTimer?: Around<Fired, void>;
  /** A timer has fired and was handled. */
  fired?(timer: Timer): void;
  /** Around the marking of dead letters that an operator wants handled again: the request's trace is kept with them. */
  readonly aroundRedrive?: Around<StoredTrace, { readonly marked: readonly DeadLetter[] }>;
}
