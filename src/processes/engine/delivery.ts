import type { Message } from '@bufbuild/protobuf';
import {
  BEGINNING,
  type Bucket,
  backoffMs,
  type CommandHandler,
  codecOf,
  type EventCodec,
  type EventSource,
  isAfter,
  type Log,
  type LogFilter,
  latest,
  type MarkWatch,
  mayHeal,
  type Position,
  type RecordedCommit,
  type Runtime,
  recordedEvents,
  type SlotGroup,
  timeOf,
} from '../../eventstore/index.ts';
import { reactionContext } from './cause.ts';
import type { Cursor } from './cursor.ts';
import type { DeadLetterIndex, DeadLetters } from './dead-letters/dead-letters.ts';
import { OwnershipLost } from './errors.ts';
import type { Lanes } from './lanes.ts';
import type { DeliveryAttempt, EngineObserver, Outcome } from './observer.ts';
import type { Delivery, Policy, Reaction } from './reaction.ts';
import { pause } from './signal.ts';
import type { HeldTimers } from './timers/held-timers.ts';

/** A commit of the consumer's categories as its handler is given it. @throws UnknownEventType, CorruptCommit */
export type Decode = (
  commit: RecordedCommit,
  how: Pick<Delivery<Message>, 'attempt' | 'redriven' | 'maybeHandled'>,
) => Delivery<Message>;

/** Whether the category of a commit is one of the consumer's. */
export function concerns(consumer: Reaction, commit: RecordedCommit): boolean {
  return consumer.sources.some(({ category }) => category === commit.stream.category);
}

/**
 * What of the log a consumer's group reads: one wildcard; with several categories the others are skipped here.
 * @internal
 */
export function filterOf(consumer: Pick<Reaction, 'sources'>, group: SlotGroup): LogFilter {
  const [only, ...others] = consumer.sources;
  return only !== undefined && others.length === 0 ? { category: only.category, group } : { group };
}

/** Decodes with the codecs of a consumer's sources. */
export function createDecode(sources: readonly EventSource[]): Decode {
  const codecs = new Map<string, EventCodec<Message>>(sources.map((s) => [s.category, codecOf(s)]));
  return (commit, how) => {
    const { stream, position, commitId } = commit;
    const codec = codecs.get(stream.category);
    if (codec === undefined) throw new RangeError(`no source of the category ${stream.category}`);
    return { stream, position, commitId, events: recordedEvents(commit, codec), ...how };
  };
}

/** What came of one try: handled, try again, make a dead letter of it, or stop the consumer. */
export type AttemptResult =
  | { readonly handled: true }
  | { readonly retryAfterMs: number; readonly error: unknown }
  | { readonly deadLetter: unknown }
  | { readonly stop: unknown };

/** Tries a commit once, with the timers of its group; never rejects. */
export type Handle = (
  tried: DeliveryAttempt,
  timers?: Pick<HeldTimers, 'forDelivery'>,
) => Promise<AttemptResult>;

/** Up to which age a commit is fresh; of an older one much may have followed, which is then better asked for. */
const FRESH_MS = 5_000;

/** Whether a commit comes at once and for the first time (protocol 27). */
function isFresh({ commit, attempt, redriven, maybeHandled }: DeliveryAttempt, now: number): boolean {
  return attempt === 1 && !redriven && maybeHandled !== true && now - timeOf(commit) < FRESH_MS;
}

/** Decodes, handles, and asks the policy when that fails. */
export function createHandle(deps: {
  consumer: Reaction;
  handler: CommandHandler;
  runtime: Pick<Runtime, 'now'>;
  decode: Decode;
  policy: Policy;
  observer: EngineObserver | undefined;
  /** Told of every error. */
  failed: (error: unknown) => void;
}): Handle {
  const { consumer, handler, runtime, decode, policy, observer, failed } = deps;
  return async (tried, timers) => {
    const { commit, attempt, redriven } = tried;
    const maybeHandled = redriven || tried.maybeHandled === true;
    const started = performance.now();
    const tell = (outcome: Outcome, error?: unknown): void =>
      observer?.outcome?.(tried, outcome, error, performance.now() - started);
    const handle = async (): Promise<void> => {
      const delivery = decode(commit, { attempt, redriven, maybeHandled });
      const fresh = isFresh(tried, runtime.now()) ? commit : undefined;
      const own = timers?.forDelivery(tried);
      const { position } = delivery;
      await consumer.handle(delivery, reactionContext(handler, consumer.name, position, fresh, own));
    };
    try {
      await (observer?.aroundTry === undefined ? handle() : observer.aroundTry(tried, handle));
      tell('handled');
      return { handled: true };
    } catch (error) {
      failed(error);
      const verdict = policy(error, attempt);
      if (verdict.action === 'retry') {
        tell('retried', error);
        return { retryAfterMs: verdict.afterMs, error };
      }
      if (verdict.action === 'stop') {
        tell('stopped', error);
        return { stop: error };
      }
      tell('parked', error);
      return { deadLetter: error };
    }
  };
}

/** What a group is fed with, in the log's order. */
export interface Fed {
  readonly commits: readonly RecordedCommit[];
  /** Nothing of the group is missing up to here. */
  readonly through: Position;
  /** How many more there were when the last of them came. */
  readonly pending: number;
}

/** How a group reads the log. */
export type Feed = (options: {
  readonly log: Log;
  readonly runtime: Runtime;
  readonly filter: LogFilter;
  /** Everything up to here is done. */
  readonly after: Position;
  readonly signal: AbortSignal;
}) => AsyncIterable<Fed>;

/** Reads the log in order from a floor on, each commit once; starts again behind the last one when the log was away. */
export const orderedFeed: Feed = async function* ({ log, runtime, filter, after, signal }) {
  let seen = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      for await (const batch of log.scan({ after: seen, filter, follow: true, signal })) {
        attempt = 0;
        const commits = batch.commits.filter(({ position }) => isAfter(position, seen));
        seen = latest(seen, batch.through);
        yield { commits, through: seen, pending: batch.pending };
      }
    } catch (error) {
      if (!mayHeal(error)) throw error;
    }
    await pause(runtime, backoffMs(runtime, attempt, 20, 1_000), signal);
  }
};

/** Feeds a group's lanes from a floor on, until the signal fires. @param told gets how much is stored and not read */
export async function readGroup(
  deps: {
    readonly log: Log;
    readonly runtime: Runtime;
    readonly feed: Feed;
    readonly consumer: Reaction;
    readonly group: SlotGroup;
  },
  { lanes, cursor, after }: { readonly lanes: Lanes; readonly cursor: Cursor; readonly after: Position },
  signal: AbortSignal,
  told: (pending: number) => void,
): Promise<void> {
  const { log, runtime, feed, consumer, group } = deps;
  const filter = filterOf(consumer, group);
  for await (const { commits, through, pending } of feed({ log, runtime, filter, after, signal })) {
    // A stream that is not ours came back from a backup: its group is taken again, by its place in this one.
    if (log.incarnation !== cursor.incarnation) throw new OwnershipLost(`What ${consumer.name} has read`);
    for (const [at, commit] of commits.entries()) {
      told(pending + commits.length - at - 1);
      if (concerns(consumer, commit)) await lanes.admit(commit);
      else lanes.pass(commit.position);
      if (signal.aborted) return;
    }
    if (isAfter(through, commits.at(-1)?.position ?? BEGINNING)) lanes.pass(through);
    told(pending);
    cursor.changed();
  }
}

/** What a group works with once it is owned. */
export interface OwnedGroup {
  readonly consumer: Reaction;
  readonly log: Log;
  readonly runtime: Runtime;
  /** The bucket of the dead letters. */
  readonly bucket: Bucket;
  readonly index: DeadLetterIndex;
  readonly marked: MarkWatch;
  readonly deadLetters: DeadLetters;
  readonly timers: HeldTimers | undefined;
  readonly observer: EngineObserver | undefined;
  /** How far the group had been read when it was taken over; what is left of it may have been begun before. */
  readonly resumedAt: Position;
  /** The log's end then, if it had an owner before: that one may have handled more than its cursor says. */
  readonly handledUpTo: Position;
  /** The stored floor. */
  readonly stored: () => Position;
  /** Whether the group may still be worked on. */
  readonly alive: () => boolean;
  /** Fires when the group is to be left. */
  readonly signal: AbortSignal;
  /** Called when the group turns out to be another's. */
  readonly lost: (error: unknown) => void;
}
