import { BEGINNING, distance, type Log, type Position, type Runtime } from '../../eventstore/index.ts';
import { type Buckets, createAliases, createBucketResolver, type LiveBucket } from './aliases.ts';
import { readLowest } from './checkpoint.ts';
import { ViewLost } from './errors.ts';
import { createIndexPages, type IndexedList, type IndexPages } from './lists/index-pages.ts';
import type { PlacesOf } from './lists/sorted-index.ts';
import type { Projection } from './projection.ts';
import type { Page, PageRequest, ReadOptions, ReadRow, ViewStatus } from './reading.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';
import type { Projections } from './start.ts';
import { createViewAccess, createWaits, type ViewAccess } from './view-access.ts';

/** A sorted index over the rows of a view; the lists of the view are parts of it. One object per index. */
export interface ViewIndex {
  readonly view: Projection;
  /** Where a row stands: one place for each list that it is in. */
  readonly placesOf: PlacesOf;
}

/** A list: the places of an index that begin alike. */
export interface ListOfIndex {
  /** Names the list in cursors, so that no cursor is taken for one of another list. */
  readonly list: string;
  /** What the places begin with. */
  readonly prefix: string;
  readonly descending?: boolean;
}

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
  page(index: ViewIndex, list: ListOfIndex, request: PageRequest): Promise<Page>;
  /** How the views stand, in the order of the list that the reader was made with. */
  status(): Promise<readonly ViewStatus[]>;
  /** Ends the watches that keep the indexes. */
  stop(): void;
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
}

/** A checkpoint that did not move for this long, while the log did, belongs to a view that nobody runs. */
const STALLED_MS = 10_000;

/** Makes a reader of views; nothing is read before it is asked. */
export function createViewReader(deps: ViewReaderDeps): ViewReader {
  const { log, buckets, runtime, requestCheckpoint, coveredBy } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const aliases = createAliases(buckets, settings.prefix);
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
    const { view, placesOf } = index;
    const made = createIndexPages({ view: view.name, access: accessTo(view), placesOf, runtime });
    indexes.set(index, made);
    return made;
  };

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
    row: (view, key, options) => accessTo(view).row(key, options),
    bucket: (view, options) => accessTo(view).bucket(options),
    page: (index, { list, ...part }, request) => {
      const indexed: IndexedList = { scope: { list, incarnation: log.incarnation }, ...part };
      return pagesOf(index).page(indexed, request);
    },
    status: async () => {
      const head = await log.head();
      const status = ({ name }: Projection) =>
        statusOf(name, head).catch((error: unknown) => statusOfLost(name, head, error));
      return Promise.all(deps.views.map(status));
    },
    stop: () => {
      for (const pages of indexes.values()) pages.stop();
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
