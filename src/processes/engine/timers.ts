import type { StoredTrace } from '../../eventstore/trace-context.ts';

/** Something that is to happen at a time. The same kind and id again replaces the earlier one. */
export interface Timer {
  /** Letters, digits and `-`. */
  readonly kind: string;
  /** An aggregate's id. */
  readonly id: string;
  /** Milliseconds since the Unix epoch; taken from an event, never from the clock, so that repeating changes nothing. */
  readonly at: number;
}

/** A timer whose time has come, with the trace context of whoever armed it. */
export interface Fired extends Timer, StoredTrace {
  /** 1 for the first try. */
  readonly attempt: number;
}

/** Timers that survive every process. They fire at least once, some hundred milliseconds late, and across restarts. */
export interface Timers {
  /** @throws LogUnavailable, OutcomeUnknown; repeating is safe */
  arm(timer: Timer): Promise<void>;
  /** Nothing when there is none. One that has just fired may still be delivered. */
  disarm(kind: string, id: string): Promise<void>;
  /** Delivers fired timers until `stop`; a handler that throws is called again, with backoff. */
  deliver(handle: (fired: Fired) => Promise<void>): { stop(): Promise<void> };
}
