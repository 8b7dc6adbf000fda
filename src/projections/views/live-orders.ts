import { order } from '../../domain/order.ts';
import {
  BEGINNING,
  before,
  isAfter,
  type Log,
  LogUnavailable,
  latest,
  numberOf,
  type Position,
  type Runtime,
  type StreamRef,
  versionAt,
} from '../../eventstore/index.ts';
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
      if (!isAfter(position, tail.reached()) || !isAfter(position, await log.head())) return true;
      if (runtime.now() >= end) return !isAfter(position, await log.confirm());
      await runtime.sleep(LOOK_AGAIN_MS);
    }
  };

  const aggregate = async (stream: StreamRef, after?: LivePlace): Promise<LiveOpening> => {
    const own = tailOf(stream.category);
    await own.ready();
    if (after !== undefined && !(await inLog(after))) return { opened: false, why: 'not-in-log' };
    const queue = createLiveQueue(settings);
    const leave = own.subscribe('aggregate', stream.id, queue);
    const opening = await openAggregate(log, stream, startAt(after), queue).catch((error: unknown) => {
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

/** Behind which position there may be something new for a client. */
function startAt(place: LivePlace | undefined): Position {
  if (place === undefined) return BEGINNING;
  return place.seen === undefined ? place.position : before(place.position);
}

interface Opening {
  readonly userId: string;
  readonly start: Position;
  readonly entries: AsyncGenerator<LiveEntry, LiveEnd>;
  readonly settled: () => Position | undefined;
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
  start: Position,
  queue: LiveQueue,
): Promise<Opening | undefined> {
  const history = entriesOf(log, aggregate);
  const begun = await history.next();
  if (begun.done) return undefined;
  if (begun.value.fault !== undefined) throw begun.value.fault;
  const entries = followAggregate({ log, aggregate, start, queue }, begun.value, history);
  return { userId: begun.value.userId ?? '', start, entries, settled: () => undefined };
}

async function* entriesOf(log: Log, stream: StreamRef): AsyncGenerator<LiveEntry, undefined> {
  for await (const { entry } of readAggregate(log, stream))
    if (entry.commit.foreign === undefined) yield entry;
}

async function* followAggregate(
  { log, aggregate, start, queue }: { log: Log; aggregate: StreamRef; start: Position; queue: LiveQueue },
  begun: LiveEntry,
  history: AsyncIterable<LiveEntry>,
): AsyncGenerator<LiveEntry, LiveEnd> {
  let last = BEGINNING;
  async function* unseen(entries: AsyncIterable<LiveEntry> | readonly LiveEntry[]) {
    for await (const entry of entries) {
      if (!isAfter(entry.commit.position, last)) continue;
      if (entry.fault !== undefined) throw entry.fault;
      last = entry.commit.position;
      if (isAfter(last, start)) yield entry;
    }
  }
  yield* unseen([begun]);
  yield* unseen(history);
  for (;;) {
    const next = await queue.next();
    if (typeof next === 'string') return next;
    const { previous, position } = next.commit;
    const follows = previous !== undefined && previous <= versionAt(last);
    yield* unseen(follows ? [next] : entriesOf(log, aggregate));
    if (isAfter(position, last)) {
      const { category, id } = aggregate;
      throw new LogUnavailable(`the ${category} ${id} has a gap before ${numberOf(position)}`);
    }
  }
}

/** What the ring holds behind a place, then the queue. Between the two nothing waits, so nothing comes between them. */
function openUser(
  tail: LiveTail,
  userId: string,
  after: LivePlace | undefined,
  bounds: QueueBounds,
): LiveOpening {
  const start = after === undefined ? tail.reached() : startAt(after);
  if (isAfter(tail.floor(), start)) return { opened: false, why: 'too-old' };
  const backlog = tail
    .after(start)
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
      if (isAfter(next.commit.position, start)) yield next;
    }
  }
  const settled = () => (behind || !queue.idle() ? undefined : latest(start, tail.reached()));
  return { opened: true, stream: streamOf({ userId, start, entries: follow(), settled }, queue, leave) };
}
