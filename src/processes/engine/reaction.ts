import type { Message } from '@bufbuild/protobuf';
import {
  CorruptCommit,
  type EventSource,
  mayHeal,
  type Position,
  type RecordedEvent,
  type StreamRef,
  UnknownEventType,
} from '../../eventstore/index.ts';
import type { Start } from './start.ts';

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
 * same aggregate. `handle` must therefore be safe to repeat: it derives its keys and command ids from the commit.
 */
export interface Reaction<Event extends Message = Message> {
  /** Letters, digits and `-`; part of stored keys. */
  readonly name: string;
  readonly sources: readonly EventSource[];
  /**
   * Where it begins when it runs for the first time; resolved once, for all groups and instances (protocol 28). Its
   * cursors keep the place: a later start goes on from there, whatever is said here then.
   */
  readonly from: Start;
  handle(delivery: Delivery<Event>): Promise<void>;
  readonly policy?: Policy;
}

/** What the default policy is made of. */
export interface BackoffPolicy {
  /** In [0, 1). */
  readonly random: () => number;
  readonly baseMs: number;
  readonly capMs: number;
  /** Tries of a commit, the first included, before it becomes a dead letter. */
  readonly attempts: number;
}

/**
 * Retries with exponential backoff and jitter (half of the delay is random), a bounded number of times; then it is a
 * dead letter. What cannot become better is one at once: events that cannot be read, and errors that say `retryable: false`.
 */
export function backoffPolicy({ random, baseMs, capMs, attempts }: BackoffPolicy): Policy {
  return (error, attempt) => {
    if (isPermanent(error) || attempt >= attempts) return { action: 'dead-letter' };
    const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 20));
    return { action: 'retry', afterMs: Math.ceil(ceiling / 2 + (ceiling / 2) * random()) };
  };
}

function isPermanent(error: unknown): boolean {
  if (error instanceof UnknownEventType || error instanceof CorruptCommit) return true;
  if (mayHeal(error)) return false;
  return error instanceof Error && 'retryable' in error && error.retryable === false;
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
