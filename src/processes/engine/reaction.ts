import type { Message } from '@bufbuild/protobuf';
import {
  backoffMs,
  type EventSource,
  EventStoreError,
  mayHeal,
  type Position,
  type RecordedEvent,
  type Runtime,
  type StreamRef,
} from '../../eventstore/index.ts';
import type { ReactionContext } from './cause.ts';
import type { EngineSettings } from './settings.ts';
import type { Start } from './start.ts';
import type { Timers } from './timers/timers.ts';

/** One event with what was stored with it. */
export type ConsumedEvent<Event extends Message> = RecordedEvent<Event>;

/** One commit as a consumer is given it: the unit of order, of retries and of dead letters. */
export interface Delivery<Event extends Message> {
  readonly stream: StreamRef;
  readonly position: Position;
  readonly commitId: string;
  readonly events: readonly ConsumedEvent<Event>[];
  /** 1 for the first try in this process. */
  readonly attempt: number;
  /** True when an operator asked for it again. */
  readonly redriven: boolean;
  /** True when it may have been handled before: by an earlier owner of its group, or until it became a dead letter. */
  readonly maybeHandled: boolean;
}

/**
 * What to do about an error. `retry` tries the same commit again and holds back the later ones of its aggregate only;
 * `dead-letter` makes a dead letter of it, with its reason, and of the later ones of its aggregate behind it; `stop` ends
 * the consumer.
 */
export type Verdict =
  | { readonly action: 'retry'; readonly afterMs: number }
  | { readonly action: 'dead-letter' }
  | { readonly action: 'stop' };

/** @param attempt how often it was tried, 1 or more */
export type Policy = (error: unknown, attempt: number) => Verdict;

/**
 * Handles events: each commit at least once, in order for each aggregate, never at once with another commit of the
 * same aggregate. `handle` must therefore be safe to repeat: commands of its context are, and other keys come of
 * `ConsumedEvent.id`.
 */
export interface Reaction<Event extends Message = Message> {
  /** Letters, digits and `-`; part of stored keys. */
  readonly name: string;
  readonly sources: readonly EventSource[];
  /**
   * Where it begins when it runs for the first time; resolved once, for all groups and instances (protocol 26). Its
   * cursors keep the place: a later start goes on from there, whatever is said here then.
   */
  readonly from: Start;
  /** What it arms; its groups then hold back for some seconds what may be disarmed soon (protocol 29). */
  readonly timers?: Pick<Timers, 'arm' | 'disarm'>;
  handle(delivery: Delivery<Event>, context: ReactionContext): Promise<void>;
  /** What is done about errors, where it is not what the engine's settings say. */
  readonly policy?: Policy;
}

/** What the engine's own policy is made of. */
export type RetrySettings = Pick<
  EngineSettings,
  'backoffBaseMs' | 'backoffCapMs' | 'attempts' | 'retryUnknown'
>;

/**
 * Retries with exponential backoff and jitter (half of the delay is random), a bounded number of times; then it is a
 * dead letter. What cannot become better is one at once: events that cannot be read, and errors that say so.
 */
export function retryPolicy(runtime: Runtime, settings: RetrySettings): Policy {
  const { backoffBaseMs, backoffCapMs, attempts, retryUnknown } = settings;
  return (error, attempt) =>
    attempt < attempts && mayPass(error, retryUnknown)
      ? { action: 'retry', afterMs: backoffMs(runtime, attempt - 1, backoffBaseMs, backoffCapMs) }
      : { action: 'dead-letter' };
}

/** Whether trying again may help. @param unknown what holds of an error that does not say */
export function mayPass(error: unknown, unknown = false): boolean {
  if (error instanceof EventStoreError) return mayHeal(error);
  return error instanceof Error && 'retryable' in error ? error.retryable === true : unknown;
}

/** How a consumer stands in this process; of the groups that it holds here, unless said otherwise. */
export interface ConsumerStatus {
  readonly consumer: string;
  /** Commits that are stored and neither handled nor dead letters. */
  readonly lag: number;
  /** Age of the oldest of them that was read, in seconds; 0 when there is none. */
  readonly lagSeconds: number;
  /** When that one was decided, in milliseconds since the Unix epoch. */
  readonly oldestAt: number | undefined;
  /** Commits in memory. */
  readonly held: number;
  /** Handlers under way. */
  readonly running: number;
  /** Aggregates that wait for another try. */
  readonly retrying: number;
  /** Tries that were repeated since the start of this process. */
  readonly retries: number;
  /** Dead letters of all groups, as far as this process has seen. */
  readonly parked: number;
  readonly paused: boolean;
  /** True when the consumer has stopped for good here; `lastError` says why. */
  readonly stopped: boolean;
  /** The groups that it holds here. */
  readonly groups: readonly number[];
  readonly lastError: string | undefined;
}
