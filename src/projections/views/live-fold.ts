import { evolveOrder, noOrder, type OrderEvent, type OrderState, order } from '../../domain/order.ts';
import {
  codecOf,
  type Log,
  LogUnavailable,
  mayHeal,
  type Position,
  type RecordedCommit,
  type StreamRef,
  versionAt,
} from '../../eventstore/index.ts';

/** A commit as the live streams share it. */
export interface LiveEntry extends LiveCommit {
  /** Whose order it is; undefined when that cannot be read, and of what is no order. */
  readonly userId: string | undefined;
  /** About as many as it takes in memory and on the wire. */
  readonly bytes: number;
  /** Why it cannot be read; then `statuses` is empty. */
  readonly fault?: unknown;
}

/** An order after a commit. */
export interface OrderAt {
  readonly version: number;
  readonly state: OrderState;
  /** Why what follows cannot be read. */
  readonly fault?: unknown;
}

/** Before the first commit. */
export const NOWHERE: OrderAt = { version: 0, state: noOrder };

/** What an event costs besides its bytes, about. */
const EVENT_BYTES = 400;

/** A commit and the order after it; one that cannot be read is kept as its fault. Of what is no order nothing is folded. */
export function foldCommit(before: OrderAt, commit: RecordedCommit): { entry: LiveEntry; after: OrderAt } {
  if (before.fault !== undefined) return unreadable(before, commit, before.fault);
  if (commit.stream.category !== order.category) return unfolded(before, commit);
  const codec = codecOf<OrderEvent>(order);
  const statuses: OrderState['status'][] = [];
  let { state } = before;
  let bytes = 0;
  try {
    for (const stored of commit.decisions.flatMap((decision) => decision.events)) {
      state = evolveOrder(state, codec.decode(stored, commit.stream.id));
      statuses.push(state.status);
      bytes += stored.data.length + EVENT_BYTES;
    }
  } catch (error) {
    if (mayHeal(error)) throw error;
    return unreadable(before, commit, error);
  }
  const entry = { commit, statuses, userId: userOf(state), bytes };
  return { entry, after: { version: versionAt(commit.position), state } };
}

function unfolded(before: OrderAt, commit: RecordedCommit) {
  try {
    const events = commit.decisions.flatMap((decision) => decision.events);
    const bytes = events.reduce((sum, { data }) => sum + data.length + EVENT_BYTES, 0);
    const entry: LiveEntry = { commit, statuses: [], userId: undefined, bytes };
    return { entry, after: { ...NOWHERE, version: versionAt(commit.position) } };
  } catch (error) {
    return unreadable(before, commit, error);
  }
}

function unreadable({ state }: OrderAt, commit: RecordedCommit, fault: unknown) {
  const entry: LiveEntry = { commit, statuses: [], userId: userOf(state), bytes: EVENT_BYTES, fault };
  return { entry, after: { version: versionAt(commit.position), state, fault } };
}

function userOf(state: OrderState): string | undefined {
  return state.status === 'absent' ? undefined : state.userId;
}

/** The commits of one aggregate from its first on, through the leader; none when there is none. @throws LogUnavailable */
export async function* readAggregate(
  log: Log,
  stream: StreamRef,
): AsyncGenerator<{ entry: LiveEntry; after: OrderAt }> {
  let at = NOWHERE;
  for (;;) {
    const page = await log.read(stream, { after: at.version, confirm: true });
    for (const commit of page.commits) {
      const folded = foldCommit(at, commit);
      at = folded.after;
      yield folded;
    }
    if (!page.more || page.commits.length === 0) return;
  }
}

/** An order as it was after a commit that is known to be stored. @throws LogUnavailable also when the commit is not seen yet */
export async function orderAt(log: Log, id: string, version: number): Promise<OrderAt> {
  if (version === 0) return NOWHERE;
  for await (const { after } of readAggregate(log, { category: order.category, id })) {
    if (after.version === version) return after;
    if (after.version > version) break;
  }
  throw new LogUnavailable(`the order ${id} at version ${version} is not visible`);
}

/** An order as it was before a version: all of it that the log shows below. @throws LogUnavailable */
export async function orderBefore(log: Log, id: string, version: number): Promise<OrderAt> {
  let before = NOWHERE;
  for await (const { after } of readAggregate(log, { category: order.category, id })) {
    if (after.version >= version) break;
    before = after;
  }
  return before;
}

/** How far a client has come in the log. */
export interface LivePlace {
  readonly position: Position;
  /** How many events of the commit at that position it has seen; all of them when absent. */
  readonly seen?: number | undefined;
}

/** A commit, of an order with what the order was after each of its events. */
export interface LiveCommit {
  readonly commit: RecordedCommit;
  /** One for each event of an order's commit, in order; none of what is no order. */
  readonly statuses: readonly OrderState['status'][];
}

/** Why a stream has ended: its buffer was full, or it was closed, here or because the service stops. */
export type LiveEnd = 'slow' | 'closed';

/** The commits of one aggregate, or of all orders of one user: each once, in the log's order. */
export interface LiveStream {
  /** Whose orders these are; empty where it is something else. */
  readonly userId: string;
  /** What follows this position of the log will come; 0 = everything. */
  readonly start: Position;
  /** Waits for the next commit. @throws LogUnavailable, UnknownEventType, CorruptCommit: then it has ended */
  next(): Promise<LiveCommit | LiveEnd>;
  /** A place up to which everything was handed out, for a client whose own may grow too old; undefined: it keeps its own. */
  settled(): Position | undefined;
  /** Resolves when it can hand out no more, also while nobody asks for the next. */
  readonly over: Promise<void>;
  /** Ends it; a `next` under way answers `closed`. */
  close(): void;
}

export type LiveOpening =
  | { readonly opened: true; readonly stream: LiveStream }
  | { readonly opened: false; readonly why: 'absent' | 'too-old' | 'not-in-log' };

/** Aggregates as they change (protocol 18), behind a place or from the beginning. @throws LogUnavailable, UnknownEventType, CorruptCommit */
export interface LiveOrders {
  /** Any aggregate: without a place its whole history, then what follows. */
  aggregate(stream: StreamRef, after?: LivePlace): Promise<LiveOpening>;
  /** One order, likewise. */
  order(id: string, after?: LivePlace): Promise<LiveOpening>;
  /** All orders of a user: without a place what follows from now on. */
  user(userId: string, after?: LivePlace): Promise<LiveOpening>;
}
