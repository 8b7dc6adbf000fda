import { order } from '../../domain/order.ts';
import {
  BEGINNING,
  backoffMs,
  before,
  createBoundedCache,
  isAfter,
  type Log,
  LogUnavailable,
  latest,
  mayHeal,
  type Position,
  type RecordedCommit,
  type Runtime,
  versionAt,
} from '../../eventstore/index.ts';

import type { LiveEnd } from './live-fold.ts';
import { foldCommit, type LiveEntry, NOWHERE, type OrderAt, orderAt, orderBefore } from './live-fold.ts';

/** What one client may have waiting. */
export interface QueueBounds {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** Commits that wait for one client, up to its bounds. */
export interface LiveQueue {
  /** Takes a commit in, or ends the queue as `slow` and forgets what waits: the client resumes behind what it has. */
  push(entry: LiveEntry): void;
  /** The oldest one, once there is one, or why there will be none. One call at a time. */
  next(): Promise<LiveEntry | LiveEnd>;
  end(why: LiveEnd): void;
  /** Nothing waits, and nothing was forgotten. */
  idle(): boolean;
  /** Resolves when it has ended. */
  readonly over: Promise<void>;
}

export function createLiveQueue({ maxEvents, maxBytes }: QueueBounds): LiveQueue {
  let waiting: LiveEntry[] = [];
  let taken = 0;
  let events = 0;
  let bytes = 0;
  let ended: LiveEnd | undefined;
  let wake: (() => void) | undefined;
  let resolveOver = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    resolveOver = resolve;
  });

  const end = (why: LiveEnd): void => {
    ended ??= why;
    resolveOver();
    waiting = [];
    taken = 0;
    wake?.();
  };
  const take = (): LiveEntry | undefined => {
    const entry = waiting[taken];
    if (entry === undefined) return undefined;
    taken++;
    events -= entry.statuses.length;
    bytes -= entry.bytes;
    // Shifting one by one would move the rest each time.
    if (taken === waiting.length) {
      waiting = [];
      taken = 0;
    }
    return entry;
  };

  return {
    push: (entry) => {
      if (ended !== undefined) return;
      events += entry.statuses.length;
      bytes += entry.bytes;
      if (events > maxEvents || bytes > maxBytes) return end('slow');
      waiting.push(entry);
      wake?.();
    },
    next: async () => {
      for (;;) {
        if (ended !== undefined) return ended;
        const entry = take();
        if (entry !== undefined) return entry;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    },
    end,
    idle: () => ended === undefined && taken === waiting.length,
    over,
  };
}

/** The newest commits, up to a number of them. */
export interface LiveRing {
  push(entry: LiveEntry): void;
  /** Everything above this position is still here. */
  floor(): Position;
  /** What lies above a position, oldest first. */
  after(position: Position): LiveEntry[];
}

/**
 * @param capacity 1 or more
 * @param floor the position behind which it begins
 */
export function createLiveRing(capacity: number, floor: Position): LiveRing {
  const slots: LiveEntry[] = [];
  /** Where the oldest one is, once all slots are in use. */
  let oldest = 0;
  let below = floor;

  const at = (index: number): LiveEntry | undefined => slots[(oldest + index) % slots.length];
  const firstAfter = (position: Position): number => {
    let low = 0;
    let high = slots.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (!isAfter(at(middle)?.commit.position ?? BEGINNING, position)) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  return {
    push: (entry) => {
      if (slots.length < capacity) {
        slots.push(entry);
        return;
      }
      below = slots[oldest]?.commit.position ?? below;
      slots[oldest] = entry;
      oldest = (oldest + 1) % capacity;
    },
    floor: () => below,
    after: (position) => {
      const first = firstAfter(position);
      return Array.from({ length: slots.length - first }, (_, index) => at(first + index)).filter(
        (entry) => entry !== undefined,
      );
    },
  };
}

/** Who waits for which aggregate, and for which user's orders. */
export interface Subscribers {
  /** @returns how to take it out again */
  add(of: 'aggregate' | 'user', id: string, queue: LiveQueue): () => void;
  /** Puts a commit into the queues that it belongs to; one whose user nobody can name into those of all users. */
  deliver(entry: LiveEntry): void;
  /** Closes every queue, also those that come later. */
  end(): void;
}

export function createSubscribers(): Subscribers {
  const queues = { aggregate: new Map<string, Set<LiveQueue>>(), user: new Map<string, Set<LiveQueue>>() };
  let over = false;
  return {
    add: (of, id, queue) => {
      if (over) queue.end('closed');
      const group = queues[of].get(id) ?? new Set();
      queues[of].set(id, group.add(queue));
      return () => {
        group.delete(queue);
        if (group.size === 0 && queues[of].get(id) === group) queues[of].delete(id);
      };
    },
    deliver: (entry) => {
      const { userId, commit } = entry;
      for (const queue of queues.aggregate.get(commit.stream.id) ?? []) queue.push(entry);
      const users = userId === undefined ? queues.user.values() : [queues.user.get(userId) ?? []];
      for (const group of users) for (const queue of group) queue.push(entry);
    },
    end: () => {
      over = true;
      for (const groups of Object.values(queues))
        for (const group of groups.values()) for (const queue of group) queue.end('closed');
    },
  };
}

/** How the tail runs. */
export interface TailSettings {
  /** Commits of orders that are kept for clients that come back; also how far back it starts, in positions. */
  readonly replayCommits: number;
  /** Orders whose state is kept, so that the next commit of each needs no read. */
  readonly knownOrders: number;
  /** How long a client that comes waits for the tail to be there, in milliseconds. */
  readonly readyMs: number;
}

/** The one reader of all live streams of a category in a process, and what it has read last. */
export interface LiveTail {
  /** Starts it with the first call; resolves once it has passed the log's end of then. @throws LogUnavailable in time */
  ready(): Promise<void>;
  /** Everything up to here was handed to the queues. */
  reached(): Position;
  /** Everything above this position is still in memory. */
  floor(): Position;
  /** What lies above a position, up to `reached`. */
  after(position: Position): readonly LiveEntry[];
  /** Hands a queue what follows `reached`. @returns how to stop that */
  subscribe(of: 'aggregate' | 'user', id: string, queue: LiveQueue): () => void;
  /** Ends the reader and all queues. */
  stop(): void;
}

const LOADS_AT_ONCE = 32;
const LOOK_MS = 50;
const BACKOFF_MS = 50;
const BACKOFF_CAP_MS = 2_000;

export function createLiveTail(deps: {
  category: string;
  log: Log;
  runtime: Runtime;
  settings: TailSettings;
  onError: (error: unknown) => void;
}): LiveTail {
  const { category, log, runtime, settings, onError } = deps;
  const controller = new AbortController();
  const { signal } = controller;
  const subscribers = createSubscribers();
  const known = createBoundedCache<OrderAt>(settings.knownOrders);
  let ring: LiveRing | undefined;
  let reached = BEGINNING;
  /** The log's end when the tail started. */
  let target = BEGINNING;
  let isReady = false;
  let running = false;

  const begin = async (): Promise<LiveRing> => {
    target = await log.confirm();
    reached = before(target, settings.replayCommits);
    return createLiveRing(settings.replayCommits, reached);
  };

  const stateBefore = async ({ stream, previous, position }: RecordedCommit): Promise<OrderAt> => {
    if (category !== order.category) return NOWHERE;
    const at = known.get(stream.id);
    if (previous === undefined) return at ?? orderBefore(log, stream.id, versionAt(position));
    return at?.version === previous ? at : orderAt(log, stream.id, previous);
  };

  /** Looks up several orders at once, which `take` would ask for one after the other. */
  const warm = async (commits: readonly RecordedCommit[]): Promise<void> => {
    const first = new Map<string, RecordedCommit>();
    for (const commit of commits) {
      const { id } = commit.stream;
      if (isAfter(commit.position, reached) && !first.has(id)) first.set(id, commit);
    }
    const cold = [...first.values()].filter(
      (commit) => !known.has(commit.stream.id) && commit.previous !== 0,
    );
    for (let i = 0; i < cold.length && !signal.aborted; i += LOADS_AT_ONCE) {
      const loads = cold.slice(i, i + LOADS_AT_ONCE).map(async (commit) => {
        known.set(commit.stream.id, await stateBefore(commit));
      });
      await Promise.all(loads);
    }
  };

  const take = async (into: LiveRing, commit: RecordedCommit): Promise<void> => {
    const { entry, after } = foldCommit(await stateBefore(commit), commit);
    if (entry.fault !== undefined) onError(entry.fault);
    // From here to the end nothing waits, so a client sees a commit in the ring or in its queue.
    known.set(commit.stream.id, after);
    reached = commit.position;
    if (commit.foreign !== undefined) return;
    into.push(entry);
    subscribers.deliver(entry);
  };

  const follow = async (into: LiveRing, onBatch: () => void): Promise<void> => {
    const filter = { category };
    for await (const batch of log.scan({ after: reached, filter, follow: true, signal })) {
      await warm(batch.commits);
      for (const commit of batch.commits) {
        if (signal.aborted) return;
        if (isAfter(commit.position, reached)) await take(into, commit);
      }
      // Asked for before the reader began: nothing up to there is missing when nothing is left.
      if (batch.pending === 0) reached = latest(reached, target);
      if (!isAfter(target, reached)) isReady = true;
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
        if (!mayHeal(error)) onError(error);
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
    floor: () => ring?.floor() ?? BEGINNING,
    after: (position) => ring?.after(position) ?? [],
    subscribe: subscribers.add,
    stop: () => {
      controller.abort();
      subscribers.end();
    },
  };
}
