import { order } from '../domain/order.ts';
import { LogUnavailable } from '../eventstore/errors.ts';
import type { Log, RecordedCommit } from '../eventstore/log.ts';
import { backoffMs, type Runtime } from '../eventstore/runtime.ts';
import { isRetryable } from './errors.ts';
import { foldCommit, type LiveEntry, type OrderAt, orderAt } from './live-fold.ts';
import { createLru } from './live-lru.ts';
import type { LiveQueue } from './live-queue.ts';
import { createLiveRing, type LiveRing } from './live-ring.ts';
import { createSubscribers } from './live-subscribers.ts';

/** How the tail runs. */
export interface TailSettings {
  /** Commits of orders that are kept for clients that come back; also how far back it starts, in positions. */
  readonly replayCommits: number;
  /** Orders whose state is kept, so that the next commit of each needs no read. */
  readonly knownOrders: number;
  /** How long a client that comes waits for the tail to be there, in milliseconds. */
  readonly readyMs: number;
}

/** The one reader of all live streams of a process, and what it has read last. */
export interface LiveTail {
  /** Starts it with the first call; resolves once it has passed the log's end of then. @throws LogUnavailable in time */
  ready(): Promise<void>;
  /** Everything up to here was handed to the queues. */
  reached(): number;
  /** Everything above this position is still in memory. */
  floor(): number;
  /** What lies at a position or above it, up to `reached`. */
  from(position: number): readonly LiveEntry[];
  /** Hands a queue what follows `reached`. @returns how to stop that */
  subscribe(of: 'order' | 'user', id: string, queue: LiveQueue): () => void;
  /** Ends the reader and all queues. */
  stop(): void;
}

const LOADS_AT_ONCE = 32;
const LOOK_MS = 50;
const BACKOFF_MS = 50;
const BACKOFF_CAP_MS = 2_000;

export function createLiveTail(deps: {
  log: Log;
  runtime: Runtime;
  settings: TailSettings;
  onError: (error: unknown) => void;
}): LiveTail {
  const { log, runtime, settings, onError } = deps;
  const controller = new AbortController();
  const { signal } = controller;
  const subscribers = createSubscribers();
  const known = createLru<string, OrderAt>(settings.knownOrders);
  let ring: LiveRing | undefined;
  let reached = 0;
  /** The log's end when the tail started. */
  let target = 0;
  let isReady = false;
  let running = false;

  const begin = async (): Promise<LiveRing> => {
    target = await log.head();
    reached = Math.max(0, target - settings.replayCommits);
    return createLiveRing(settings.replayCommits, reached);
  };

  const before = async ({ stream, previous }: RecordedCommit): Promise<OrderAt> => {
    const at = known.get(stream.id);
    return at?.position === previous ? at : orderAt(log, stream.id, previous);
  };

  /** Looks up several orders at once, which `take` would ask for one after the other. */
  const warm = async (commits: readonly RecordedCommit[]): Promise<void> => {
    const first = new Map<string, RecordedCommit>();
    for (const commit of commits) {
      const { id } = commit.stream;
      if (commit.position > reached && !first.has(id)) first.set(id, commit);
    }
    const cold = [...first.values()].filter((commit) => !known.has(commit.stream.id) && commit.previous > 0);
    for (let i = 0; i < cold.length && !signal.aborted; i += LOADS_AT_ONCE) {
      const loads = cold.slice(i, i + LOADS_AT_ONCE).map(async (commit) => {
        known.set(commit.stream.id, await before(commit));
      });
      await Promise.all(loads);
    }
  };

  const take = async (into: LiveRing, commit: RecordedCommit): Promise<void> => {
    const { entry, after } = foldCommit(await before(commit), commit);
    if (entry.fault !== undefined) onError(entry.fault);
    // From here to the end nothing waits, so a client sees a commit in the ring or in its queue.
    known.set(commit.stream.id, after);
    into.push(entry);
    reached = commit.position;
    subscribers.deliver(entry);
  };

  const follow = async (into: LiveRing, onBatch: () => void): Promise<void> => {
    const filter = { category: order.category };
    for await (const batch of log.scan({ after: reached, filter, follow: true, signal })) {
      await warm(batch.commits);
      for (const commit of batch.commits) {
        if (signal.aborted) return;
        if (commit.position > reached) await take(into, commit);
      }
      // Asked for before the reader began: nothing up to there is missing when nothing is left.
      if (batch.pending === 0) reached = Math.max(reached, target);
      if (reached >= target) isReady = true;
      onBatch();
    }
  };

  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        ring ??= await begin();
        await follow(ring, () => {
          attempt = 0;
        });
      } catch (error) {
        if (!isRetryable(error)) onError(error);
      }
      if (!signal.aborted) await runtime.sleep(backoffMs(runtime, attempt, BACKOFF_MS, BACKOFF_CAP_MS));
    }
  };

  return {
    ready: async () => {
      if (!running) void run();
      running = true;
      for (const end = runtime.now() + settings.readyMs; !isReady || signal.aborted; ) {
        if (signal.aborted || runtime.now() >= end)
          throw new LogUnavailable('the live streams are not there yet');
        await runtime.sleep(LOOK_MS);
      }
    },
    reached: () => reached,
    floor: () => ring?.floor() ?? 0,
    from: (position) => ring?.from(position) ?? [],
    subscribe: subscribers.add,
    stop: () => {
      controller.abort();
      subscribers.end();
    },
  };
}
