import {
  BEGINNING,
  type Bucket,
  backoffMs,
  before,
  createBoundedCache,
  createHeapEstimate,
  earliest,
  isAfter,
  type Log,
  mayHeal,
  type Position,
  type RecordedCommit,
  type Runtime,
  type SlotGroup,
  type StreamRef,
  versionAt,
} from '../../eventstore/index.ts';
import { BucketRewound, FoldFailure, foreignKey, RowsLost } from './errors.ts';
import { type FactCommit, type FactDecoder, foldFacts, foldRow, visitRows } from './facts.ts';
import type { ProjectionObserver } from './observer.ts';
import { checkRowKey, type Projection } from './projection.ts';
import type { ProjectionSettings } from './settings.ts';
import { createWriter, type Entry, oldestUnacked, type SeenRevisions, unknownEntry } from './writer.ts';

export interface LoaderDeps {
  readonly projection: Projection;
  readonly bucket: Bucket;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly seen: SeenRevisions;
  readonly observer?: ProjectionObserver | undefined;
  /** How the view is rebuilt, for people. */
  readonly rebuildHint?: string | undefined;
}

/** The JSON of a stored row; undefined for a tombstone. */
export function parseRow(value: Uint8Array): unknown {
  if (value.length === 0) return undefined;
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
}

/** Whether a commit may be folded onto an entry without losing what lies between. */
export function follows(projection: Projection, entry: Entry, commit: RecordedCommit): boolean {
  return projection.crossesAggregates || commit.previous === versionAt(entry.position);
}

/**
 * Fills an entry from the bucket, through the leader, and folds what waits for it: from what was kept, or else from the
 * log. Commits may go on arriving meanwhile. `waiting` keeps only what the bucket has not seen.
 * @returns how many commits the bucket had seen, which wait no longer
 * @throws LogUnavailable; BucketRewound and RowsLost when the bucket forgot a write; FoldFailure when
 *   decoding or `evolve` throws
 */
export async function loadEntry(deps: LoaderDeps, entry: Entry): Promise<number> {
  const { projection, bucket } = deps;
  const stored = await bucket.get(entry.key, { leader: true });
  const position = stored?.position ?? BEGINNING;
  if (isAfter(entry.acked, position)) {
    if (projection.crossesAggregates) {
      throw new RowsLost(projection.name, bucket.name, entry.key, deps.rebuildHint);
    }
    throw new BucketRewound(bucket.name, entry.key);
  }
  deps.seen.highest = Math.max(deps.seen.highest, stored?.revision ?? 0);
  entry.row = stored === undefined ? undefined : parseRow(stored.value);
  entry.position = position;
  entry.acked = position;
  entry.revision = stored?.revision ?? 0;
  entry.bytes = stored?.value.length ?? 0;
  const before = entry.waiting.length;
  entry.waiting = entry.waiting.filter((each) => isAfter(each, position));
  const seen = before - entry.waiting.length;
  while (!foldKept(deps, entry)) await heal(deps, entry);
  entry.kept = projection.crossesAggregates
    ? entry.kept.filter((each) => isAfter(each.position, position))
    : [];
  return seen;
}

/** Folds the kept commits in order; false at the first that does not follow, and when others wait too. */
function foldKept({ projection, decode }: LoaderDeps, entry: Entry): boolean {
  for (const commit of entry.kept) {
    const { stream, position } = commit;
    if (!isAfter(position, entry.position)) continue;
    if (!follows(projection, entry, commit)) return false;
    try {
      visitRows(projection, decode(commit), (key, own) => {
        if (key === entry.key) entry.row = foldFacts(projection, entry.row, own.facts);
      });
    } catch (error) {
      throw new FoldFailure(stream, position, error);
    }
    entry.position = position;
  }
  return !isAfter(entry.waiting.at(-1) ?? BEGINNING, entry.position);
}

/**
 * Brings the row up to the last commit that waits, from the log: from the stored row on when what waits was let go after
 * it had been folded, from the first commit on when something is missing between.
 */
async function heal(deps: LoaderDeps, entry: Entry): Promise<void> {
  const [first] = entry.waiting;
  const position = entry.waiting.at(-1);
  if (position === undefined) return;
  const letGo = entry.kept.every((commit) => commit.position !== first);
  const from = letGo ? { row: entry.row, position: entry.position } : undefined;
  const folded = await foldRow(deps, entry.stream, entry.key, position, from);
  entry.row = folded.row;
  entry.position = position;
}

/** An entry for a commit that is the first of its aggregate: nothing can be stored before it. */
export function firstEntry(key: string, stream: StreamRef): Entry {
  const entry = unknownEntry(key, stream);
  entry.phase = 'clean';
  return entry;
}

/** The rows of one view in memory, and what is under way between them and the bucket. */
export interface Rows {
  /** Folds a commit into a row; the writing happens later. Commits at or below the row's position change nothing. */
  touch(key: string, commit: FactCommit): void;
  /** Sends what waits; `live` = there is nothing more to come for now, so do not wait for more. */
  flush(live: boolean): void;
  /** Lets no row rest any longer. */
  writeNow(): void;
  /** Commits that touched a row and are not acknowledged. */
  backlog(): number;
  /** The highest position at or below `delivered` up to which everything is acknowledged. */
  floor(delivered: Position): Position;
  /** Nothing more is sent, and answers that are still to come are ignored. */
  stop(): void;
}

/** Told about every progress, and once about what the view cannot get over by itself. */
export interface RowsEvents {
  progressed(): void;
  /** A commit cannot be folded. True = its row is a dead letter, and nothing from that commit on is handed in again. */
  unapplied(failure: FoldFailure): boolean;
  /** Whether somebody waits for what is not stored. */
  isUrgent(): boolean;
  failed(error: unknown, position: Position | undefined): void;
}

/** Memory of an entry without its row, its place in the cache included. */
const ENTRY_BYTES = 500;
/** While a view catches up, rows that rest would only hold it up: a larger part of its backlog than this says that it does. */
const MOST_RESTING = 4;
/** So many rows that change within `restMs` make a view busy: all of its rows rest then, and longer, and go out together. */
const BUSY_ROWS = 10;
const BUSY_REST = 2.5;

export function createRows(
  deps: LoaderDeps & { group: SlotGroup; runtime: Runtime; settings: ProjectionSettings },
  events: RowsEvents,
): Rows {
  const { projection, runtime, settings } = deps;
  const oneGroupOwns = deps.group.count > 1 || projection.onUnapplied === 'dead-letter';
  /** Rows that are read or written, or wait for it. */
  const busy = new Map<string, Entry>();
  /** The others, as many as may be kept. */
  const bytesOfRow = createHeapEstimate();
  const clean = createBoundedCache<Entry>(settings.cacheRows, {
    limit: settings.cacheBytes,
    of: ({ row, bytes }) => ENTRY_BYTES + bytesOfRow(row, bytes),
  });
  /** Those that were written a moment ago. */
  const resting = new Set<Entry>();
  const isBusy = createPace(settings.restMs, BUSY_ROWS);
  let backlog = 0;
  let isLive = false;
  let stopped = false;

  const makeBusy = (entry: Entry, phase: 'loading' | 'queued'): void => {
    if (entry.phase === 'clean') clean.delete(entry.key);
    entry.phase = phase;
    busy.set(entry.key, entry);
  };

  const writeNow = (): void => {
    for (const entry of resting) writer.enqueue(entry);
    resting.clear();
    writer.pump();
  };

  const rest = async (entry: Entry, ms: number): Promise<void> => {
    resting.add(entry);
    if (resting.size > 1) return;
    await runtime.sleep(ms);
    writeNow();
  };

  const queue = (entry: Entry): void => {
    makeBusy(entry, 'queued');
    const now = runtime.now();
    const busy = isBusy(now) && isLive;
    const isNew = !busy && now - entry.writtenAt >= settings.restMs;
    if (isNew || backlog > settings.maxBacklog / MOST_RESTING || events.isUrgent()) writer.enqueue(entry);
    else void rest(entry, busy ? BUSY_REST * settings.restMs : settings.restMs);
  };

  const load = async (entry: Entry): Promise<void> => {
    makeBusy(entry, 'loading');
    entry.gap = false;
    try {
      const seen = await loadEntry(deps, entry);
      backlog -= seen;
    } catch (error) {
      backlog = recount();
      if (!stopped) void trouble(entry, error);
      return;
    }
    if (stopped) return;
    settle(entry);
    writer.pump();
  };

  // After a failure the list of an entry may have shrunk by any number.
  const recount = (): number => {
    let sum = 0;
    for (const entry of busy.values()) sum += entry.waiting.length + entry.sent.length;
    return sum;
  };

  const settle = (entry: Entry): void => {
    entry.attempts = 0;
    if (entry.gap) void load(entry);
    else if (entry.waiting.length > 0) queue(entry);
    else {
      entry.phase = 'clean';
      busy.delete(entry.key);
      clean.set(entry.key, entry);
    }
    events.progressed();
  };

  const takeBack = (entry: Entry): void => {
    entry.waiting = entry.sent.concat(entry.waiting);
    entry.sent = [];
  };

  const trouble = async (entry: Entry, error: unknown): Promise<void> => {
    entry.phase = 'loading';
    if (error instanceof FoldFailure && events.unapplied(error)) {
      entry.waiting = entry.waiting.filter((position) => isAfter(error.position, position));
      entry.kept = entry.kept.filter(({ position }) => isAfter(error.position, position));
      backlog = recount();
      void load(entry);
      return;
    }
    // A fast bucket may have lost acknowledged writes in the outage that this is a sign of: its view starts again.
    const attempts = projection.crossesAggregates ? settings.rowAttempts : 1;
    if (!mayHeal(error) || ++entry.attempts >= attempts) {
      events.failed(error, entry.waiting[0]);
      return;
    }
    await runtime.sleep(backoffMs(runtime, entry.attempts, settings.backoffBaseMs, settings.backoffCapMs));
    if (!stopped) void load(entry);
  };

  const acknowledged = (entry: Entry): void => {
    entry.acked = entry.sent.at(-1) ?? entry.acked;
    backlog -= entry.sent.length;
    entry.sent = [];
    if (projection.crossesAggregates)
      entry.kept = entry.kept.filter(({ position }) => isAfter(position, entry.acked));
  };

  const writer = createWriter(deps, {
    written: (entry, revision) => {
      if (stopped) return;
      entry.revision = revision;
      entry.writtenAt = runtime.now();
      acknowledged(entry);
      settle(entry);
    },
    refused: (entry) => {
      if (stopped) return;
      takeBack(entry);
      void load(entry);
    },
    failed: (entry, error) => {
      if (stopped) return;
      takeBack(entry);
      void trouble(entry, error);
    },
  });

  const open = (key: string, { stream, previous }: RecordedCommit): Entry => {
    checkRowKey(projection.name, key);
    if (oneGroupOwns && key !== stream.id) throw foreignKey(projection.name, key);
    const known = !projection.crossesAggregates && previous === 0;
    const entry = known ? firstEntry(key, stream) : unknownEntry(key, stream);
    if (!known) void load(entry);
    return entry;
  };

  return {
    touch: (key, { commit: recorded, facts }) => {
      const entry = busy.get(key) ?? clean.get(key) ?? open(key, recorded);
      const loading = entry.phase === 'loading' || entry.gap;
      if (!loading && !isAfter(recorded.position, entry.position)) return;
      const gap = !loading && !follows(projection, entry, recorded);
      const folds = !loading && !gap;
      if (folds) {
        entry.row = foldFacts(projection, entry.row, facts);
        entry.position = recorded.position;
      }
      if (!folds || projection.crossesAggregates) entry.kept.push(recorded);
      if (entry.waiting.length === 0) entry.waiting = [recorded.position];
      else entry.waiting.push(recorded.position);
      backlog++;
      if (gap && entry.phase === 'writing') entry.gap = true;
      else if (gap) void load(entry);
      else if (entry.phase === 'clean') queue(entry);
    },
    flush: (live) => {
      isLive = live;
      if (resting.size > 0 && (backlog >= settings.maxBacklog || events.isUrgent())) writeNow();
      writer.pump(live || backlog >= settings.maxBacklog);
    },
    writeNow,
    backlog: () => backlog,
    floor: (delivered) => {
      let floor = delivered;
      for (const entry of busy.values()) {
        const oldest = oldestUnacked(entry);
        if (oldest !== undefined) floor = earliest(floor, before(oldest));
      }
      return floor;
    },
    stop: () => {
      stopped = true;
      writer.stop();
    },
  };
}

/** Counts what it is asked about, and says whether that was at least `most` within the last span of time. */
function createPace(spanMs: number, most: number): (now: number) => boolean {
  let [since, count, before] = [0, 0, 0];
  return (now) => {
    if (now - since >= spanMs) {
      before = now - since < 2 * spanMs ? count : 0;
      [since, count] = [now, 0];
    }
    count++;
    return before >= most;
  };
}
