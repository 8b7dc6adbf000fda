import { order } from '../../domain/order.ts';
import { type Log, LogUnavailable, type Runtime, type StreamRef } from '../../eventstore/index.ts';
import {
  type LiveEnd,
  type LiveEntry,
  type LiveOpening,
  type LiveOrders,
  type LivePlace,
  type LiveStream,
  readAggregate,
} from './live-fold.ts';
import {
  createLiveQueue,
  createLiveTail,
  type LiveQueue,
  type LiveTail,
  type QueueBounds,
  type TailSettings,
} from './live-tail.ts';

/** How live streams run: the tail, and what each client may have waiting. */
export type LiveSettings = TailSettings & QueueBounds;

/** What a service of ordinary size starts with. */
export const defaultLiveSettings: LiveSettings = {
  replayCommits: 10_000,
  knownOrders: 20_000,
  readyMs: 3_000,
  maxEvents: 1_000,
  maxBytes: 1_048_576,
};

/** The live streams of a process; `stop` ends all of them and the readers. */
export interface RunningLiveOrders extends LiveOrders {
  stop(): void;
}

/** How long a place may lie beyond the end that the leader tells: one that was just elected may lag. */
const BEYOND_MS = 2_000;
const LOOK_AGAIN_MS = 200;

/** Nothing is read before the first client comes. `onError` is told of commits that cannot be read. */
export function createLiveOrders(deps: {
  log: Log;
  runtime: Runtime;
  settings?: Partial<LiveSettings>;
  onError?: (error: unknown) => void;
}): RunningLiveOrders {
  const { log, runtime, onError = () => undefined } = deps;
  const settings = { ...defaultLiveSettings, ...deps.settings };
  const tail = createLiveTail({ category: order.category, log, runtime, settings, onError });
  /** Of other categories than orders, from the first client on that follows one of them. */
  const others = new Map<string, LiveTail>();
  const tailOf = (category: string): LiveTail => {
    if (category === order.category) return tail;
    // Nobody comes back to all of a category, so nothing of it is kept.
    const small = { ...settings, replayCommits: 1 };
    const other =
      others.get(category) ?? createLiveTail({ category, log, runtime, settings: small, onError });
    others.set(category, other);
    return other;
  };

  const inLog = async ({ position }: LivePlace): Promise<boolean> => {
    for (const end = runtime.now() + BEYOND_MS; ; ) {
      if (position <= tail.reached() || position <= (await log.head())) return true;
      if (runtime.now() >= end) return position <= (await log.confirm());
      await runtime.sleep(LOOK_AGAIN_MS);
    }
  };

  const aggregate = async (stream: StreamRef, after?: LivePlace): Promise<LiveOpening> => {
    const own = tailOf(stream.category);
    await own.ready();
    if (after !== undefined && !(await inLog(after))) return { opened: false, why: 'not-in-log' };
    const queue = createLiveQueue(settings);
    const leave = own.subscribe('aggregate', stream.id, queue);
    const opening = await openAggregate(log, stream, firstAfter(after), queue).catch((error: unknown) => {
      leave();
      throw error;
    });
    if (opening === undefined) leave();
    return opening === undefined
      ? { opened: false, why: 'absent' }
      : { opened: true, stream: streamOf(opening, queue, leave) };
  };

  return {
    aggregate,
    order: (id, after) => aggregate({ category: order.category, id }, after),
    user: async (userId, after) => {
      await tail.ready();
      if (after !== undefined && !(await inLog(after))) return { opened: false, why: 'not-in-log' };
      return openUser(tail, userId, after, settings);
    },
    stop: () => {
      for (const one of [tail, ...others.values()]) one.stop();
    },
  };
}

/** The first position that may hold something new for a client. */
function firstAfter(place: LivePlace | undefined): number {
  if (place === undefined) return 1;
  return place.seen === undefined ? place.position + 1 : place.position;
}

interface Opening {
  readonly userId: string;
  readonly start: number;
  readonly entries: AsyncGenerator<LiveEntry, LiveEnd>;
  readonly settled: () => number | undefined;
}

function streamOf({ entries, ...facts }: Opening, queue: LiveQueue, leave: () => void): LiveStream {
  return {
    ...facts,
    over: queue.over,
    next: async () => {
      const { value } = await entries.next();
      // A generator that has thrown or returned before has no value any more.
      return value ?? 'closed';
    },
    close: () => {
      leave();
      queue.end('closed');
    },
  };
}

/**
 * An aggregate's history, confirmed, then its queue. The queue is fed already: what is in both is told by its position, and
 * what is in neither by the chain of versions. Undefined when there is no such aggregate.
 */
async function openAggregate(
  log: Log,
  aggregate: StreamRef,
  first: number,
  queue: LiveQueue,
): Promise<Opening | undefined> {
  const history = entriesOf(log, aggregate);
  const begun = await history.next();
  if (begun.done) return undefined;
  if (begun.value.fault !== undefined) throw begun.value.fault;
  const entries = followAggregate({ log, aggregate, first, queue }, begun.value, history);
  return { userId: begun.value.userId ?? '', start: first - 1, entries, settled: () => undefined };
}

async function* entriesOf(log: Log, stream: StreamRef): AsyncGenerator<LiveEntry, undefined> {
  for await (const { entry } of readAggregate(log, stream))
    if (entry.commit.foreign === undefined) yield entry;
}

async function* followAggregate(
  { log, aggregate, first, queue }: { log: Log; aggregate: StreamRef; first: number; queue: LiveQueue },
  begun: LiveEntry,
  history: AsyncIterable<LiveEntry>,
): AsyncGenerator<LiveEntry, LiveEnd> {
  let last = 0;
  async function* unseen(entries: AsyncIterable<LiveEntry> | readonly LiveEntry[]) {
    for await (const entry of entries) {
      if (entry.commit.position <= last) continue;
      if (entry.fault !== undefined) throw entry.fault;
      last = entry.commit.position;
      if (last >= first) yield entry;
    }
  }
  yield* unseen([begun]);
  yield* unseen(history);
  for (;;) {
    const next = await queue.next();
    if (typeof next === 'string') return next;
    const { previous, position } = next.commit;
    const follows = previous !== undefined && previous <= last;
    yield* unseen(follows ? [next] : entriesOf(log, aggregate));
    if (position > last)
      throw new LogUnavailable(`the ${aggregate.category} ${aggregate.id} has a gap before ${position}`);
  }
}

/** What the ring holds behind a place, then the queue. Between the two nothing waits, so nothing comes between them. */
function openUser(
  tail: LiveTail,
  userId: string,
  after: LivePlace | undefined,
  bounds: QueueBounds,
): LiveOpening {
  const first = after === undefined ? tail.reached() + 1 : firstAfter(after);
  if (first <= tail.floor()) return { opened: false, why: 'too-old' };
  const backlog = tail
    .from(first)
    .filter((entry) => entry.userId === userId || (entry.userId === undefined && entry.fault !== undefined));
  const fault = backlog[0]?.fault;
  if (fault !== undefined) throw fault;
  const queue = createLiveQueue(bounds);
  const leave = tail.subscribe('user', userId, queue);
  let behind = backlog.length > 0;

  async function* follow(): AsyncGenerator<LiveEntry, LiveEnd> {
    for (const entry of backlog) {
      if (entry.fault !== undefined) throw entry.fault;
      yield entry;
    }
    behind = false;
    for (;;) {
      const next = await queue.next();
      if (typeof next === 'string') return next;
      if (next.fault !== undefined) throw next.fault;
      if (next.commit.position >= first) yield next;
    }
  }
  const start = first - 1;
  const settled = () => (behind || !queue.idle() ? undefined : Math.max(start, tail.reached()));
  return { opened: true, stream: streamOf({ userId, start, entries: follow(), settled }, queue, leave) };
}
