import {
  createNatsBuckets,
  type Log,
  type Requests,
  smallerBatches,
  systemRuntime,
} from '../eventstore/index.ts';
import {
  createMembers,
  createSqliteIndexes,
  createViewReader,
  defaultProjectionSettings,
  type Projection,
  type ProjectionObserver,
  type ProjectionSettings,
  type RowPrivacy,
  type SqliteIndexesOptions,
  startProjections,
  type ViewIndex,
  type ViewReader,
  type ViewStatus,
} from '../projections/engine/index.ts';
import { type Follower, followLog } from './follower.ts';

/** What opening views takes. Times in milliseconds. */
export interface OpenViewsOptions {
  readonly log: Log;
  /** For the buckets of the views, which may be in another account than the log. */
  readonly requests: Requests;
  readonly views: readonly Projection[];
  readonly settings: Partial<ProjectionSettings> & Pick<ProjectionSettings, 'prefix'>;
  /** Copies of each bucket. */
  readonly replicas: number;
  /** How long one request may take. */
  readonly requestTimeoutMs: number;
  /** Where this process keeps what its lists are made of. */
  readonly indexes: SqliteIndexesOptions & {
    /** Lists that are kept from the start; others are from their first page on. */
    readonly fromStart?: readonly ViewIndex[];
    readonly observer?: ProjectionObserver | undefined;
  };
  /** What makes rows plain; default: they are. */
  readonly privacy?: RowPrivacy | undefined;
  /** How they are kept in this process; `undefined` = they are only read here. */
  readonly keep: KeepViews | undefined;
  /** Where they are only read: whether queries that demand positions are so many that following the log pays. */
  readonly follow?: boolean;
}

/** How views are kept. */
export interface KeepViews {
  /** Whether the instances divide the groups of views among themselves. */
  readonly shared: boolean;
  /** See `feedOfViews`. */
  readonly coalesceRows: boolean;
  /** Whether the server still has the log that was opened; a lost bucket is filled anew only then. */
  readonly sameLog: () => Promise<boolean>;
  /** Told of a view that has stopped for good. */
  readonly onError: (view: string, error: unknown) => void;
  readonly observer?: ProjectionObserver | undefined;
}

/** The views of a process: what answers queries, and, where they run here, what keeps them. */
export interface OpenedViews {
  readonly reader: ViewReader;
  /** What the views that are kept here say of themselves, without asking anybody; undefined where none are. */
  readonly kept: (() => readonly ViewStatus[]) | undefined;
  /** Writes the last rows and checkpoints, and ends everything that was begun. */
  stop(): Promise<void>;
}

/** Starts the views that are kept here, and a reader of all of them. */
export function openViews(options: OpenViewsOptions): OpenedViews {
  const { log, views, settings, keep, privacy } = options;
  const { fromStart = [], observer, ...files } = options.indexes;
  const running = keep && keepViews(options, keep);
  const follower = running === undefined && options.follow ? follow(options) : undefined;
  const reader = createViewReader({
    log,
    views,
    buckets: bucketsOf(options, false),
    runtime: systemRuntime,
    settings,
    local: running?.status,
    requestCheckpoint: running?.requestCheckpoint,
    coveredBy: running?.coveredBy ?? follower?.coveredBy,
    indexStore: createSqliteIndexes(files),
    indexes: fromStart,
    privacy,
    observer,
  });
  return {
    reader,
    kept: running?.status,
    stop: async () => {
      await reader.stop();
      follower?.stop();
      await running?.stop();
    },
  };
}

function follow({ log, views, settings }: OpenViewsOptions): Follower {
  return followLog({
    log,
    views,
    runtime: systemRuntime,
    settings: { ...defaultProjectionSettings, ...settings },
  });
}

function keepViews(options: OpenViewsOptions, { shared, sameLog, onError, observer, ...keep }: KeepViews) {
  const buckets = bucketsOf(options, true);
  const feed = feedOfViews(options.log, keep);
  const settings = { ...options.settings, ...feed.settings };
  const memberSettings = { ...defaultProjectionSettings, ...options.settings };
  return startProjections({
    log: feed.log,
    buckets,
    projections: options.views,
    ...(shared && { sharing: createMembers({ buckets, runtime: systemRuntime, settings: memberSettings }) }),
    runtime: systemRuntime,
    sameLog,
    settings,
    onError,
    observer,
  });
}

function bucketsOf(
  { requests, replicas, requestTimeoutMs: timeoutMs }: OpenViewsOptions,
  announceLosses: boolean,
) {
  return createNatsBuckets({ requests, runtime: systemRuntime, replicas, timeoutMs, announceLosses });
}

/**
 * How views are fed: as fast as they can, or, with `coalesceRows: false`, one commit at a time until it is stored.
 * @internal
 */
export function feedOfViews(
  log: Log,
  { coalesceRows }: { readonly coalesceRows: boolean },
): { readonly log: Log; readonly settings: Partial<ProjectionSettings> } {
  return coalesceRows ? { log, settings: {} } : { log: oneByOne(log), settings: { maxBacklog: 1 } };
}

/** The same log, whose scans hand out single commits. */
function oneByOne(log: Log): Log {
  return {
    ...log,
    scan: async function* (options) {
      for await (const batch of log.scan(options)) yield* smallerBatches(batch, 1);
    },
  };
}
