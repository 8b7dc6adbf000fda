import { BEGINNING, distance, type Log, type Position, type Runtime } from '../../eventstore/index.ts';
import {
  type Buckets,
  createAliases,
  createBucketResolver,
  type LiveBucket,
  watchAliases,
} from './aliases.ts';
import { readLowest } from './checkpoint.ts';
import { ViewLost } from './errors.ts';
import { createIndexPages, type IndexPages, type ListQuery } from './lists/index-pages.ts';
import type { IndexStore } from './lists/index-store.ts';
import { startIndexer } from './lists/indexer.ts';
import { nameOfIndex, plainRows, type RowPrivacy, type ViewIndex } from './lists/view-index.ts';
import type { ProjectionObserver } from './observer.ts';
import type { Projection } from './projection.ts';
import type { Page, PageRequest, ReadOptions, ReadRow, ViewStatus } from './reading.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';
import type { Projections } from './start.ts';
import { createViewAccess, createWaits, type ViewAccess } from './view-access.ts';

/**
 * Reads rows and lists of views, whether they are kept in this process or elsewhere. The queries of a view stand beside
 * it and are made of this.
 * @throws LogUnavailable when the buckets cannot be reached, ViewBehind, InvalidCursor
 */
export interface ViewReader {
  readonly log: Log;
  row(view: Projection, key: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** The live bucket of a view, for queries that read several rows; undefined when the view was never started. */
  bucket(view: Projection, options?: ReadOptions): Promise<LiveBucket | undefined>;
  /** A page of a list of an index, which is kept from the first page on, or from the start. @throws ListNotBuilt */
  page<Row>(index: ViewIndex<Row>, query: ListQuery<Row>, request: PageRequest): Promise<Page>;
  /** Whether the index has any row in a part of a list, as it stands. @throws as `page` */
  holds<Row>(index: ViewIndex<Row>, query: ListQuery<Row>, request: ReadOptions): Promise<boolean>;
  /** What makes rows plain, and stands for plain text in indexes. */
  readonly privacy: RowPrivacy;
  /** How the views stand, in the order of the list that the reader was made with. */
  status(): Promise<readonly ViewStatus[]>;
  /** Ends what keeps the indexes; they stay stored. */
  stop(): Promise<void>;
}

/** What a reader of views needs. */
export interface ViewReaderDeps {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly runtime: Runtime;
  /** The views that `status` tells of. */
  readonly views: readonly Projection[];
  readonly settings?: Partial<ProjectionSettings>;
  /** What the views of this process say of themselves; without it, `status` judges by their checkpoints. */
  readonly local?: (() => readonly ViewStatus[]) | undefined;
  /** Lets a query that waits for a view of this process have its checkpoint at once. */
  readonly requestCheckpoint?: Projections['requestCheckpoint'] | undefined;
  /** Spares a query that demands a position the wait for a checkpoint, where the view has nothing to store for it. */
  readonly coveredBy?: Projections['coveredBy'] | undefined;
  /** Where the indexes are kept; its owner is the reader. */
  readonly indexStore: IndexStore;
  /** Indexes that are kept from the start. */
  readonly indexes?: readonly ViewIndex[];
  /** Default: rows are plain as they are. */
  readonly privacy?: RowPrivacy | undefined;
  readonly observer?: Pick<ProjectionObserver, 'indexed' | 'indexFailed'> | undefined;
}

/** A checkpoint that did not move for this long, while the log did, belongs to a view that nobody runs. */
const STALLED_MS = 10_000;

/** Makes a reader of views; beside the indexes nothing is read before it is asked. */
export function createViewReader(deps: ViewReaderDeps): ViewReader {
  const { log, buckets, runtime, requestCheckpoint, coveredBy, observer, privacy = plainRows } = deps;
  const { indexStore: store } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const aliases = watchAliases(createAliases(buckets, settings.prefix), runtime, settings.resolveMs);
  const resolver = createBucketResolver({
    buckets,
    aliases,
    runtime,
    settings,
    incarnation: log.incarnation,
  });
  const waits = createWaits(runtime);
  const access = new Map<Projection, ViewAccess>();
  const indexes = new Map<ViewIndex, IndexPages>();

  const accessTo = (projection: Projection): ViewAccess => {
    const known = access.get(projection);
    if (known !== undefined) return known;
    const made = createViewAccess({
      projection,
      log,
      resolver,
      runtime,
      waits,
      requestCheckpoint,
      coveredBy,
    });
    access.set(projection, made);
    return made;
  };

  const pagesOf = (index: ViewIndex): IndexPages => {
    const known = indexes.get(index);
    if (known !== undefined) return known;
    const name = nameOfIndex(index);
    if ([...indexes.keys()].some((other) => nameOfIndex(other) === name))
      throw new RangeError(
        `two indexes are called ${name}, and each would delete the files of the other: name one`,
      );
    const { incarnation } = log;
    const common = { index, incarnation, privacy, runtime };
    const { resolveMs } = settings;
    const indexer = startIndexer({ ...common, resolver, store, resolveMs, observer });
    const made = createIndexPages({ ...common, indexer, access: accessTo(index.view) });
    indexes.set(index, made);
    return made;
  };
  for (const index of deps.indexes ?? []) pagesOf(index);

  const statusOf = async (view: string, head: Position): Promise<ViewStatus> => {
    const live = await resolver.current(view);
    const stored = live === undefined ? undefined : await readLowest(live.bucket, live.groups);
    const position = stored?.position ?? BEGINNING;
    const lag = distance(position, head);
    const local = deps.local?.().find((status) => status.view === view);
    const moving = stored !== undefined && (lag === 0 || runtime.now() - stored.value.at < STALLED_MS);
    // Groups that run elsewhere show only in their checkpoints.
    const alone = local?.groups === undefined || local.groups.owned === local.groups.of;
    const running = local === undefined ? moving : local.running && (alone || moving);
    const { groups, deadLetters = [] } = local ?? {};
    const { lastError } = local ?? {};
    return { view, position, lag, running, lastError, deadLetters, ...(groups && { groups }) };
  };

  return {
    log,
    privacy,
    row: async (view, key, options) => {
      const row = await accessTo(view).row(key, options);
      if (row === undefined) return undefined;
      const [json = row.json] = await privacy.open([row.json]);
      return { json, position: row.position };
    },
    bucket: (view, options) => accessTo(view).bucket(options),
    page: (index, query, request) => pagesOf(index).page(query, request),
    holds: (index, query, request) => pagesOf(index).holds(query, request),
    status: async () => {
      const head = await log.head();
      const status = ({ name }: Projection) =>
        statusOf(name, head).catch((error: unknown) => statusOfLost(name, head, error));
      return Promise.all(deps.views.map(status));
    },
    stop: async () => {
      for (const pages of indexes.values()) pages.stop();
      await store.close();
    },
  };
}

function statusOfLost(view: string, head: Position, error: unknown): ViewStatus {
  if (!(error instanceof ViewLost)) throw error;
  return {
    view,
    position: BEGINNING,
    lag: distance(BEGINNING, head),
    running: false,
    lastError: error.message,
  };
}
