import type { Funnel, FunnelCounts, WaitingOrders } from '../../api/operators/ports.ts';
import { type OrderEvent, type OrderStep, order } from '../../domain/order.ts';
import {
  BEGINNING,
  before,
  between,
  codecOf,
  distance,
  type Log,
  latest,
  type Position,
  type RecordedCommit,
  type Runtime,
} from '../../eventstore/index.ts';
import { ListNotBuilt, type ViewReader } from '../../projections/engine/index.ts';
import { type OrderRow, orderQueries } from '../../projections/views/orders.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** An answer is at most so old. */
const FRESH_MS = 5_000;
/** An answer waits so long for what is being counted; the rest comes with the next one. */
const WAIT_MS = 500;
/** Further back than so many positions nothing is counted: some seconds of reading, once. */
const MOST_POSITIONS = 500_000;
/** Near enough to the begin of a day. */
const NEAR = 1_000;
const STEPS: readonly OrderStep[] = ['customer_validation', 'inventory', 'payment'];
const MOST_WAITING = 100;
const MOST_OLDEST = 5;

type Counts = Omit<FunnelCounts, 'rejected'> & { readonly rejected: Map<string, number> };
type Stage = Exclude<keyof Counts, 'rejected'>;

const STAGES: ReadonlyMap<string, Stage> = new Map([
  ['OrderPlaced', 'placed'],
  ['CustomerValidated', 'validated'],
  ['OrderStockReserved', 'reserved'],
  ['PaymentCaptured', 'paid'],
  ['OrderConfirmed', 'confirmed'],
  ['OrderCancelled', 'cancelled'],
]);

const nothing = (): Record<Stage, number> & Counts => ({
  ...{ placed: 0, validated: 0, reserved: 0, paid: 0, confirmed: 0, cancelled: 0 },
  rejected: new Map(),
});

/** What happened to orders, minute by minute, over a day. */
export interface Minutes {
  take(commit: RecordedCommit): void;
  /** Of the last so many milliseconds, to the minute. */
  last(ms: number, now: number): FunnelCounts;
  /** Forgets what is older than a day. */
  forget(now: number): void;
}

export function createMinutes(): Minutes {
  const minutes = new Map<number, ReturnType<typeof nothing>>();
  const codec = codecOf<OrderEvent>(order);
  return {
    take: ({ stream, decisions }) => {
      for (const { time, events } of decisions) {
        const minute = Math.floor(Number(time) / MINUTE_MS);
        const counts = minutes.get(minute) ?? nothing();
        minutes.set(minute, counts);
        for (const stored of events) {
          const stage = STAGES.get(stored.type);
          if (stage !== undefined) counts[stage]++;
          if (stored.type !== 'OrderRejected') continue;
          const event = codec.decode(stored, stream.id);
          const code = event.$typeName === 'jetledger.order.v1.OrderRejected' ? event.code : '';
          counts.rejected.set(code, (counts.rejected.get(code) ?? 0) + 1);
        }
      }
    },
    last: (ms, now) => {
      const first = Math.floor((now - ms) / MINUTE_MS);
      const sum = nothing();
      for (const [minute, counts] of minutes) {
        if (minute <= first) continue;
        for (const stage of STAGES.values()) sum[stage] += counts[stage];
        for (const [code, count] of counts.rejected)
          sum.rejected.set(code, (sum.rejected.get(code) ?? 0) + count);
      }
      const rejected = [...sum.rejected].map(([code, count]) => ({ code, count }));
      return { ...sum, rejected: rejected.sort((a, b) => b.count - a.count) };
    },
    forget: (now) => {
      for (const minute of minutes.keys())
        if (minute < Math.floor((now - DAY_MS) / MINUTE_MS)) minutes.delete(minute);
    },
  };
}

/**
 * How far orders have come in the last hour and day, and which wait longest at each step: counted from the log, only
 * what is new each time, and read from a list of those that wait. @throws LogUnavailable
 */
export function createFunnel(deps: {
  readonly log: Log;
  readonly views: ViewReader;
  readonly runtime: Runtime;
}): () => Promise<Funnel> {
  const { log, views, runtime } = deps;
  let minutes = createMinutes();
  let reached: Position | undefined;
  let since = 0;
  let counting: Promise<void> | undefined;
  let last: { readonly at: number; readonly answer: Promise<Funnel> } | undefined;

  const count = async (): Promise<void> => {
    const head = await log.head();
    if (reached === undefined || distance(reached, head) > MOST_POSITIONS) {
      minutes = createMinutes();
      ({ from: reached, since } = await beginOfDay(log, head, runtime.now() - DAY_MS));
    }
    const filter = { category: order.category };
    for await (const { commits, through } of log.scan({ after: reached, filter })) {
      for (const commit of commits) minutes.take(commit);
      reached = through;
    }
    reached = latest(reached, head);
    minutes.forget(runtime.now());
  };
  const look = async (): Promise<Funnel> => {
    counting ??= count().finally(() => {
      counting = undefined;
    });
    // Who waits no longer is not told of its end.
    counting.catch(() => undefined);
    const isComplete = await Promise.race([
      counting.then(() => true),
      runtime.sleep(WAIT_MS).then(() => false),
    ]);
    const waiting = await waitingOrders(views);
    const now = runtime.now();
    return {
      ...{ at: now, since: Math.max(since, now - DAY_MS), isComplete },
      ...{ hour: minutes.last(HOUR_MS, now), day: minutes.last(DAY_MS, now) },
      ...(waiting && { waiting }),
    };
  };
  return () => {
    const at = runtime.now();
    if (last === undefined || at - last.at >= FRESH_MS) {
      last = { at, answer: look() };
      last.answer.catch(() => {
        last = undefined;
      });
    }
    return last.answer;
  };
}

/** Where the commits of a time and later begin, at most so far back; and from when on everything is behind it. */
async function beginOfDay(
  log: Log,
  head: Position,
  time: number,
): Promise<{ readonly from: Position; readonly since: number }> {
  const floor = before(head, MOST_POSITIONS);
  const timeAt = async (position: Position): Promise<number> => {
    const commit = await log.next(position);
    return Number(commit?.decisions[0]?.time ?? Number.POSITIVE_INFINITY);
  };
  let low = floor;
  for (let high = head; distance(low, high) > NEAR; ) {
    const middle = between(low, high);
    if ((await timeAt(middle)) < time) low = middle;
    else high = middle;
  }
  const isWhole = low !== floor || floor === BEGINNING;
  return { from: low, since: isWhole ? time : Math.max(time, await timeAt(floor)) };
}

/** Undefined while their list is being made. */
async function waitingOrders(views: ViewReader): Promise<readonly WaitingOrders[] | undefined> {
  const { openOrders } = orderQueries(views);
  try {
    return await Promise.all(
      STEPS.map(async (step) => {
        const { items, next } = await openOrders(step, { limit: MOST_WAITING });
        const oldest = items.slice(0, MOST_OLDEST).map((item) => {
          const { id, placedAt, timeline } = JSON.parse(Buffer.from(item).toString('utf8')) as OrderRow;
          return { id, placedAt, since: timeline.at(-1)?.at ?? placedAt };
        });
        return { step, count: items.length, more: next !== undefined, oldest };
      }),
    );
  } catch (error) {
    if (error instanceof ListNotBuilt) return undefined;
    throw error;
  }
}
