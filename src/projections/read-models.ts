import type { OrderState } from '../domain/order-state.ts';
import type { RecordedCommit } from '../eventstore/log.ts';
import type { ParkedRow } from './marks.ts';
import type { OrderRow } from './views/order-row.ts';
import type { DayRow } from './views/statistics.ts';

/** A row as the API serves it. */
export interface ReadRow {
  /** UTF-8 JSON, passed through to the client. */
  readonly json: Uint8Array;
  /** Position of the last commit that the row has seen; for a row of one aggregate also the aggregate's version. */
  readonly position: number;
}

export interface ReadOptions {
  /** The answer must show at least this position of the log; reads through the leader. */
  readonly minPosition?: number | undefined;
  /** How long to wait for it, in milliseconds; default 2,000. */
  readonly waitMs?: number | undefined;
}

export interface PageRequest extends ReadOptions {
  /** 1 to 200. */
  readonly limit: number;
  /** Opaque, from an earlier page; holds keys, never revisions. */
  readonly cursor?: string | undefined;
}

/** Products, all of them or those whose names begin alike. */
export interface ProductPageRequest extends PageRequest {
  /** Only products whose name begins like this, whatever the case, sorted by name; default: all, sorted by SKU. */
  readonly namePrefix?: string | undefined;
}

/** A period of whole days in UTC, both included, written like `2026-01-15`; at most 366 days. */
export interface StatisticsRequest {
  readonly from: string;
  readonly to: string;
}

export interface Statistics {
  /** The days on which something happened, ascending. */
  readonly days: readonly DayRow[];
}

/** A period that cannot be read as one, or is too long. */
export class InvalidPeriod extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvalidPeriod';
  }
}

export interface Page {
  /** Rows as UTF-8 JSON, in the list's order. */
  readonly items: readonly Uint8Array[];
  /** The cursor of the next page; absent on the last one. */
  readonly next?: string | undefined;
}

/** A view did not reach the demanded position in time. */
export class ViewBehind extends Error {
  readonly view: string;
  readonly wanted: number;
  readonly reached: number;

  constructor(view: string, wanted: number, reached: number) {
    super(
      `The read model ${view} is at position ${reached}; ${wanted} was asked for. Try again, or ask for less.`,
    );
    this.name = 'ViewBehind';
    this.view = view;
    this.wanted = wanted;
    this.reached = reached;
  }
}

/** A cursor that this service did not make. */
export class InvalidCursor extends Error {
  constructor() {
    super('The cursor is not one of this list: start again without it.');
    this.name = 'InvalidCursor';
  }
}

/** How far a view is. */
export interface ViewStatus {
  readonly view: string;
  readonly position: number;
  /** Commits of the log that the view has not applied yet. */
  readonly lag: number;
  readonly running: boolean;
  readonly lastError?: string | undefined;
  /** How many of the view's groups run in this process. */
  readonly groups?: { readonly owned: number; readonly of: number };
  /** Rows that are put aside: each shows what it was before the event that could not be applied. */
  readonly parked?: readonly ParkedRow[];
}

/**
 * What queries may ask of the read models.
 * @throws LogUnavailable when the buckets cannot be reached, ViewBehind, InvalidCursor
 */
export interface ReadModels {
  user(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  product(sku: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  order(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** By SKU, or by name, ascending. */
  products(page: ProductPageRequest): Promise<Page>;
  /** Newest first. */
  ordersOfUser(userId: string, page: PageRequest): Promise<Page>;
  /** By when they were placed, newest first. A page may hold fewer than `limit` when orders left the status just now. */
  ordersByStatus(status: OrderRow['status'], page: PageRequest): Promise<Page>;
  /** @throws InvalidPeriod */
  statistics(request: StatisticsRequest & ReadOptions): Promise<Statistics>;
  status(): Promise<readonly ViewStatus[]>;
}

/** How far a client has come in the log. */
export interface LivePlace {
  readonly position: number;
  /** How many events of the commit at that position it has seen; all of them when absent. */
  readonly seen?: number | undefined;
}

/** A commit of an order, with what the order was after each of its events. */
export interface LiveCommit {
  readonly commit: RecordedCommit;
  /** One for each event of the commit, in order. */
  readonly statuses: readonly OrderState['status'][];
}

/** Why a stream has ended: its buffer was full, or it was closed, here or because the service stops. */
export type LiveEnd = 'slow' | 'closed';

/** The commits of one order, or of all orders of one user: each once, in the log's order. */
export interface LiveStream {
  /** Whose orders these are. */
  readonly userId: string;
  /** What follows this position of the log will come; 0 = everything. */
  readonly start: number;
  /** Waits for the next commit. @throws LogUnavailable, UnknownEventType, CorruptCommit: then it has ended */
  next(): Promise<LiveCommit | LiveEnd>;
  /** A place up to which everything was handed out, for a client whose own may grow too old; undefined: it keeps its own. */
  settled(): number | undefined;
  /** Resolves when it can hand out no more, also while nobody asks for the next. */
  readonly over: Promise<void>;
  /** Ends it; a `next` under way answers `closed`. */
  close(): void;
}

export type LiveOpening =
  | { readonly opened: true; readonly stream: LiveStream }
  | { readonly opened: false; readonly why: 'absent' | 'too-old' | 'not-in-log' };

/** Orders as they change (protocol 18), behind a place or from the beginning. @throws LogUnavailable, UnknownEventType, CorruptCommit */
export interface LiveOrders {
  /** One order: without a place its whole history, then what follows. */
  order(id: string, after?: LivePlace): Promise<LiveOpening>;
  /** All orders of a user: without a place what follows from now on. */
  user(userId: string, after?: LivePlace): Promise<LiveOpening>;
}
