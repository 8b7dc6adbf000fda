import { InvalidId, type StoredTrace } from '../../../eventstore/index.ts';
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

/** A timer that stands in its group's cursor instead of the stream of timers, with the trace of whoever wanted it. */
export interface HeldTimer extends Timer, StoredTrace {}

/** Timers that survive every process. They fire at least once, some hundred milliseconds late, and across restarts. */
export interface Timers {
  /** @throws LogUnavailable, OutcomeUnknown; repeating is safe */
  arm(timer: Timer): Promise<void>;
  /** Nothing when there is none. One that has just fired may still be delivered. */
  disarm(kind: string, id: string): Promise<void>;
  /** Delivers fired timers until `stop`; a handler that throws is called again, with backoff. */
  deliver(handle: (fired: Fired) => Promise<void>): { stop(): Promise<void> };
}

const KIND = /^[A-Za-z0-9-]{1,32}$/;
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/** `<kind>.<id>`, two tokens of a subject. @throws InvalidId when one of them could be more or less than that */
export function timerName(kind: string, id: string): string {
  if (!KIND.test(kind)) throw new InvalidId('kind of timer', kind, '1 to 32 letters, digits and -');
  if (!ID.test(id)) throw new InvalidId(`id of the timer ${kind}`, id, '1 to 128 of A-Z, a-z, 0-9, - and _');
  return `${kind}.${id}`;
}
