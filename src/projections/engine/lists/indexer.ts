import {
  BEGINNING,
  type Bucket,
  backoffMs,
  earliest,
  LogUnavailable,
  type Position,
  type Row,
  type Runtime,
  reasonOf,
} from '../../../eventstore/index.ts';
import type { BucketResolver, LiveBucket } from '../aliases.ts';
import { checkpointKey, parseCheckpoint, readCheckpoint, type StoredCheckpoint } from '../checkpoint.ts';
import { allGroups } from '../groups.ts';
import type { ProjectionObserver } from '../observer.ts';
import { isRowKey } from '../projection.ts';
import { parseRow } from '../rows.ts';
import { IndexDamaged } from './index-errors.ts';
import {
  type IndexChange,
  type IndexScope,
  type IndexState,
  type IndexStore,
  NOTHING_INDEXED,
  type StoredIndex,
} from './index-store.ts';
import { resumeAfter, seenOf } from './resume.ts';
import { nameOfIndex, type RowPrivacy, type ViewIndex, versionOfIndex } from './view-index.ts';

/** Keeps an index of a view's live bucket, in this process. */
export interface Indexer {
  /** The index, once it knows the rows of its start; undefined until then. After a switch the old one until then. */
  serving(): StoredIndex | undefined;
  /** Has what has come stored at once, for somebody who waits. */
  storeNow(): void;
  /** Throws away what could not be read; it is made anew. */
  discard(index: StoredIndex): Promise<void>;
  stop(): void;
}

export interface IndexerDeps {
  readonly index: ViewIndex;
  readonly incarnation: string;
  readonly resolver: BucketResolver;
  readonly store: IndexStore;
  readonly privacy: RowPrivacy;
  readonly runtime: Runtime;
  /** Half of how often it looks which bucket is the live one, in milliseconds. */
  readonly resolveMs: number;
  readonly observer?: Pick<ProjectionObserver, 'indexed' | 'indexFailed'> | undefined;
}

/** Rows that are stored together at the most, and rows that may wait for it before no more are read. */
const BATCH_ROWS = 1_000;
const MOST_WAITING = 2 * BATCH_ROWS;
/** Changes of a row within so many milliseconds are stored as one while nobody waits: an order alone is written five times. */
const GATHER_MS = 400;
const [BACKOFF_BASE_MS, BACKOFF_CAP_MS] = [50, 2_000];

/** Starts to keep an index, and goes on until it is stopped, whatever fails. */
export function startIndexer(deps: IndexerDeps): Indexer {
  const { index, resolver, store, runtime, resolveMs, observer } = deps;
  const view = index.view.name;
  const stopped = new AbortController();
  const wanted = createSignal();
  let serving: { readonly bucket: string; readonly stored: StoredIndex } | undefined;
  let discarded: StoredIndex | undefined;
  let reported: string | undefined;

  const discard = async (stored: StoredIndex): Promise<void> => {
    if (serving?.stored === stored) serving = undefined;
    discarded = stored;
    await stored.remove();
  };

  /** The index to go on with, and behind which revision. */
  const begin = async ({ bucket, groups }: LiveBucket): Promise<{ stored: StoredIndex; after: number }> => {
    const scope = await scopeOf(deps, bucket);
    const kept = serving?.bucket === bucket.name ? serving.stored : await store.open(scope);
    if (kept.state().revision === 0) return { stored: kept, after: 0 };
    const after = resumeAfter(kept.state(), await checkpointsOf(bucket, groups));
    if (after !== undefined) return { stored: kept, after };
    // What answers now goes on answering until the new one can.
    const stored = await store.open(scope, true);
    if (kept !== serving?.stored) await kept.remove();
    return { stored, after: 0 };
  };

  const serve = async (bucket: string, stored: StoredIndex, sinceMs: number): Promise<void> => {
    if (serving?.stored === stored || discarded === stored) return;
    const before = serving?.stored;
    serving = { bucket, stored };
    reported = undefined;
    observer?.indexed?.({ view, bucket, ms: runtime.now() - sinceMs });
    await before?.remove();
  };

  const follow = async (live: LiveBucket): Promise<void> => {
    const since = runtime.now();
    const { stored, after } = await begin(live);
    const ended = new AbortController();
    const signal = AbortSignal.any([stopped.signal, ended.signal]);
    void endAtSwitch(live, ended, signal);
    try {
      await feed(deps, { live, stored, after, signal, wanted }, () => serve(live.bucket.name, stored, since));
    } catch (error) {
      if (error instanceof IndexDamaged) await discard(stored);
      throw error;
    } finally {
      ended.abort();
    }
  };

  const endAtSwitch = async (live: LiveBucket, ended: AbortController, signal: AbortSignal) => {
    while (!signal.aborted) {
      // A bucket that was left is fed for longer than that.
      await runtime.sleep(resolver.untilNextLook() + resolveMs);
      if (!signal.aborted && (await resolver.hasMoved(view, live).catch(() => false))) ended.abort();
    }
  };

  /** Once for each reason, until it has been built; that NATS is away others tell. */
  const report = (error: unknown): void => {
    const reason = reasonOf(error);
    if (stopped.signal.aborted || error instanceof LogUnavailable || reason === reported) return;
    reported = reason;
    observer?.indexFailed?.({ view, error });
  };

  const run = async (): Promise<void> => {
    for (let failures = 0; !stopped.signal.aborted; ) {
      try {
        const live = await resolver.current(view);
        if (live === undefined) await runtime.sleep(resolveMs);
        else await follow(live);
        failures = 0;
      } catch (error) {
        report(error);
        failures++;
      }
      if (!stopped.signal.aborted)
        await runtime.sleep(backoffMs(runtime, failures, BACKOFF_BASE_MS, BACKOFF_CAP_MS));
    }
  };
  void run();

  return { serving: () => serving?.stored, storeNow: wanted.give, discard, stop: () => stopped.abort() };
}

async function scopeOf({ index, incarnation, privacy }: IndexerDeps, bucket: Bucket): Promise<IndexScope> {
  const { view, columns, lists } = index;
  const version = versionOfIndex(index, String(view.version), await privacy.stamp());
  return { name: nameOfIndex(index), bucket: bucket.name, incarnation, version, columns, lists };
}

async function checkpointsOf(
  bucket: Bucket,
  groups: LiveBucket['groups'],
): Promise<ReadonlyMap<string, StoredCheckpoint | undefined>> {
  const all = allGroups(groups).map(
    async (group) => [checkpointKey(group), await readCheckpoint(bucket, group)] as const,
  );
  return new Map(await Promise.all(all));
}

/** What is fed from where. */
interface Feeding {
  readonly live: LiveBucket;
  readonly stored: StoredIndex;
  readonly after: number;
  readonly signal: AbortSignal;
  /** Given by whoever waits for the index. */
  readonly wanted: Signal;
}

/** Everything that was written by then has been handed out. */
const SETTLED = 'settled';

/**
 * Stores the rows of a bucket and then every change in an index, many together when many have come, until the signal
 * fires or the server is lost. `whole` is called whenever the index knows all rows.
 */
async function feed(
  deps: IndexerDeps,
  { live, stored, after, signal, wanted }: Feeding,
  whole: () => Promise<void>,
): Promise<void> {
  const { bucket, groups } = live;
  const { runtime } = deps;
  const keys = new Set(allGroups(groups).map(checkpointKey));
  const waiting: (Row | typeof SETTLED)[] = [];
  const [come, room] = [createSignal(), createSignal()];
  const ended = new AbortController();
  const take = (item: Row | typeof SETTLED): void => {
    waiting.push(item);
    come.give();
  };

  const read = async (): Promise<void> => {
    const until = AbortSignal.any([signal, ended.signal]);
    const settled = () => take(SETTLED);
    for await (const row of bucket.watch({ signal: until, after, settled, untilLost: true })) {
      take(row);
      while (waiting.length >= MOST_WAITING && !until.aborted) await room.wait();
    }
  };

  const gathered = async (): Promise<void> => {
    if (waiting.length < BATCH_ROWS) await Promise.race([runtime.sleep(GATHER_MS), wanted.wait()]);
  };
  let reading = true;
  const reader = read().finally(() => {
    reading = false;
    come.give();
  });
  reader.catch(() => undefined);
  try {
    let state = after === 0 ? NOTHING_INDEXED : stored.state();
    let storing: Promise<void> = Promise.resolve();
    while (reading || waiting.length > 0) {
      if (waiting.length === 0) await come.wait();
      if (reading && state.position !== undefined) await gathered();
      const items = waiting.splice(0, BATCH_ROWS);
      if (items.length === 0) continue;
      room.give();
      const next = stateAfter(state, items, keys);
      const changes = await changesOf(deps, items);
      await storing;
      // The next rows are made ready meanwhile.
      storing = stored.apply(changes, next).then(() => (items.includes(SETTLED) ? whole() : undefined));
      storing.catch(() => undefined);
      state = next;
      if (waiting.length === 0) await storing;
    }
    await storing;
    await reader;
  } finally {
    ended.abort();
    room.give();
  }
}

interface Signal {
  give(): void;
  wait(): Promise<void>;
}

/** Wakes the one who waits; one that is given before counts too. */
function createSignal(): Signal {
  let given = false;
  let wake: (() => void) | undefined;
  return {
    give: () => {
      given = true;
      wake?.();
    },
    wait: async () => {
      if (!given) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      given = false;
      wake = undefined;
    },
  };
}

/**
 * How far an index is with these rows. A checkpoint speaks for rows before it, of which one may have been overtaken and
 * come later: what it says counts once everything has been handed out.
 */
function stateAfter(
  before: IndexState,
  items: readonly (Row | typeof SETTLED)[],
  keys: ReadonlySet<string>,
): IndexState {
  let { revision, position } = before;
  const checkpoints = { ...before.checkpoints };
  for (const item of items) {
    if (item === SETTLED) {
      position = [...keys].map((key) => checkpoints[key]?.position ?? BEGINNING).reduce(earliest);
      continue;
    }
    revision = Math.max(revision, item.revision);
    const checkpoint = keys.has(item.key) ? parseCheckpoint(item) : undefined;
    if (checkpoint !== undefined) checkpoints[item.key] = seenOf(checkpoint);
  }
  return { revision, position, checkpoints };
}

async function changesOf(
  { index, privacy }: IndexerDeps,
  items: readonly (Row | typeof SETTLED)[],
): Promise<readonly IndexChange[]> {
  const last = new Map<string, Row>();
  for (const item of items) if (item !== SETTLED && isRowKey(item.key)) last.set(item.key, item);
  const rows = [...last.values()];
  const opened = await privacy.openListed(rows.map(({ value }) => value));
  return rows.map(({ key, value }, i) => ({
    key,
    entry: value.length === 0 ? undefined : index.entryOf(parseRow(opened[i] ?? value), key, privacy.digest),
  }));
}

/** Up to where an index answers. */
export function positionOfIndex(stored: StoredIndex): Position {
  return stored.state().position ?? BEGINNING;
}
