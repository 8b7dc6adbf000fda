import {
  BEGINNING,
  type Bucket,
  type Position,
  type RecordedCommit,
  type RowWrite,
  type StreamRef,
  type WriteResult,
} from '../../eventstore/index.ts';
import { BucketRewound } from './errors.ts';
import type { ProjectionObserver } from './observer.ts';
import type { Projection } from './projection.ts';
import type { ProjectionSettings } from './settings.ts';

/**
 * A row in memory. Commits that touch it stay listed until the bucket has acknowledged a row that has seen them: by
 * their position, and as they were stored only where the log alone could not tell what they did. Thousands wait while
 * a view catches up, and whatever they keep in memory the garbage collector copies.
 *
 * clean -> queued -> writing -> clean (or queued again, when commits came meanwhile)
 * any of them -> loading (unknown row, gap, lost fence, no answer) -> clean or queued
 */
export interface Entry {
  readonly key: string;
  /** The aggregate of the commit that it was made for; the only one, unless rows cross aggregates. */
  readonly stream: StreamRef;
  phase: 'loading' | 'clean' | 'queued' | 'writing';
  row: unknown;
  /** Position of the last commit that `row` has seen. */
  position: Position;
  /** What the next write must expect. */
  revision: number;
  /** Position of the newest value that the bucket is known to hold. */
  acked: Position;
  /** Positions of the commits that touched the row and are not sent. */
  waiting: Position[];
  /** Positions of those in the write under way. */
  sent: Position[];
  /** Those of `sent` and `waiting` that `row` has not seen; of a row that crosses aggregates all of them. */
  kept: RecordedCommit[];
  /** A commit came that does not follow the row: load as soon as the write under way has ended. */
  gap: boolean;
  /** Failures in a row of reading or writing this key. */
  attempts: number;
  /** When it was last written, in milliseconds since the Unix epoch; 0 = not since it was loaded. */
  writtenAt: number;
  /** Length of the JSON that was last read or sent, which is what the memory for its row is reckoned by. */
  bytes: number;
}

/** An entry whose row is not known yet. */
export function unknownEntry(key: string, stream: StreamRef): Entry {
  return {
    key,
    stream,
    phase: 'loading',
    row: undefined,
    position: BEGINNING,
    revision: 0,
    acked: BEGINNING,
    waiting: [],
    sent: [],
    kept: [],
    gap: false,
    attempts: 0,
    writtenAt: 0,
    bytes: 0,
  };
}

/** The position of the oldest commit that is not acknowledged for this row; undefined when all are. */
export function oldestUnacked(entry: Entry): Position | undefined {
  return entry.sent[0] ?? entry.waiting[0];
}

/** What becomes of a row that was handed to the writer; exactly one of them is called per write. */
export interface WriterEvents {
  written(entry: Entry, revision: number): void;
  /** Another writer was there first. */
  refused(entry: Entry): void;
  /** Written or not: nobody can say; or the bucket lost what it had acknowledged. */
  failed(entry: Entry, error: unknown): void;
}

/** The highest revision of its bucket that a view has seen, in an answer or a read. */
export interface SeenRevisions {
  highest: number;
}

/** Writes rows of one view: singly and pipelined, or in batches where there is a backlog and the bucket has batches. */
export interface Writer {
  enqueue(entry: Entry): void;
  /** Sends what may be sent. Not urgent = leave a small backlog to grow into a batch and to coalesce; default: as before. */
  pump(urgent?: boolean): void;
  stop(): void;
}

/** Below this backlog a batch costs the server more than single writes. */
const BATCH_AT = 32;
/** A second batch is prepared while the first is stored; more would only wait. */
const BATCHES_IN_FLIGHT = 2;

interface Prepared {
  readonly entry: Entry;
  /** Cut off from the row; must be stored before it. */
  readonly pages: readonly RowWrite[];
  readonly write: RowWrite;
}

export function createWriter(
  deps: {
    projection: Projection;
    bucket: Bucket;
    settings: ProjectionSettings;
    seen: SeenRevisions;
    observer?: ProjectionObserver | undefined;
  },
  events: WriterEvents,
): Writer {
  const { projection, settings, seen } = deps;
  const bucket = timed(deps.bucket, projection.name, deps.observer?.wrote);
  let queue: Entry[] = [];
  let head = 0;
  let singles = 0;
  let batches = 0;
  let urgent = true;
  let stopped = false;

  const backlog = () => queue.length - head;

  /** Revisions only grow; one that does not follows a loss of acknowledged writes. */
  const acknowledge = (entry: Entry, revision: number, seenBefore: number) => {
    if (revision <= seenBefore) {
      events.failed(entry, new BucketRewound(bucket.name, entry.key));
      return;
    }
    seen.highest = Math.max(seen.highest, revision);
    events.written(entry, revision);
  };

  /** Keeps only the entry until the answer is there: what was sent would be copied by the garbage collector. */
  const answered = (entry: Entry, writing: Promise<WriteResult>): Promise<void> => {
    const seenBefore = seen.highest;
    return writing
      .then((result) => {
        if (result.written) acknowledge(entry, result.revision, seenBefore);
        else events.refused(entry);
      })
      .catch((error: unknown) => events.failed(entry, error));
  };

  const afterPages = async ({ pages, write }: Prepared): Promise<WriteResult> => {
    // A page that is there already was written before a crash, and holds the same.
    for (const page of pages) await bucket.write(page);
    return bucket.write(write);
  };

  const sendOne = (prepared: Prepared): Promise<void> =>
    answered(prepared.entry, prepared.pages.length > 0 ? afterPages(prepared) : bucket.write(prepared.write));

  const singleDone = (): void => {
    singles--;
    pump();
  };

  const sendSingle = (prepared: Prepared): void => {
    singles++;
    void sendOne(prepared).then(singleDone);
  };

  const sendBatch = async (
    writeAll: NonNullable<Bucket['writeAll']>,
    prepared: readonly Prepared[],
  ): Promise<void> => {
    batches++;
    const seenBefore = seen.highest;
    try {
      const result = await writeAll(prepared.map((p) => p.write));
      if (!result.written) await Promise.all(prepared.map(sendOne));
      else {
        // A batch is stored without gaps.
        let revision = result.lastRevision - prepared.length;
        for (const { entry } of prepared) acknowledge(entry, ++revision, seenBefore);
      }
    } catch (error) {
      for (const { entry } of prepared) events.failed(entry, error);
    }
    batches--;
    pump();
  };

  const next = (): Entry | undefined => {
    while (head < queue.length) {
      const entry = queue[head++];
      if (head > 4_096 && head * 2 > queue.length) {
        queue = queue.slice(head);
        head = 0;
      }
      // An entry that left the queue by a reload may still stand in it.
      if (entry?.phase === 'queued') return entry;
    }
    queue = [];
    head = 0;
    return undefined;
  };

  const pumpBatch = (writeAll: NonNullable<Bucket['writeAll']>): void => {
    const batch: Prepared[] = [];
    for (let entry = next(); entry !== undefined; entry = next()) {
      const prepared = prepare(projection, entry);
      if (prepared.pages.length > 0) sendSingle(prepared);
      else batch.push(prepared);
      if (batch.length >= settings.batchRows) break;
    }
    if (batch.length > 0) void sendBatch(writeAll, batch);
  };

  const pumpSingles = (): void => {
    while (singles < settings.maxInFlight) {
      const entry = next();
      if (entry === undefined) return;
      sendSingle(prepare(projection, entry));
    }
  };

  function pump(isUrgent = urgent): void {
    urgent = isUrgent;
    const { writeAll } = bucket;
    if (stopped) return;
    if (writeAll !== undefined && !urgent && backlog() < settings.batchRows) return;
    if (writeAll === undefined || backlog() < BATCH_AT) pumpSingles();
    else while (backlog() > 0 && batches < BATCHES_IN_FLIGHT) pumpBatch(writeAll.bind(bucket));
  }

  return {
    enqueue: (entry) => {
      queue.push(entry);
    },
    pump,
    stop: () => {
      stopped = true;
    },
  };
}

/** The bucket, with somebody told how long each request of writing takes. */
function timed(bucket: Bucket, view: string, wrote: ProjectionObserver['wrote']): Bucket {
  if (wrote === undefined) return bucket;
  const { writeAll } = bucket;
  const time = async <T>(rows: number, write: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    try {
      return await write();
    } finally {
      wrote(view, rows, performance.now() - started);
    }
  };
  return {
    ...bucket,
    write: (row) => time(1, () => bucket.write(row)),
    ...(writeAll && { writeAll: (rows) => time(rows.length, () => writeAll.call(bucket, rows)) }),
  };
}

/** Freezes what the row is now into a write; later commits go into the next one. */
function prepare(projection: Projection, entry: Entry): Prepared {
  entry.phase = 'writing';
  entry.sent = entry.waiting;
  entry.waiting = [];
  const { key, position } = entry;
  const pages = cutPages(projection, entry);
  const value = jsonOf(entry.row);
  entry.bytes = value?.length ?? 0;
  return {
    entry,
    pages,
    write: { key, value, expectedRevision: entry.revision, position },
  };
}

const NO_PAGES: readonly RowWrite[] = [];

/** The full pages of a row that grows, which are then no longer part of it. */
function cutPages(projection: Projection, entry: Entry): readonly RowWrite[] {
  if (projection.seal === undefined || entry.row === undefined) return NO_PAGES;
  const { key, position } = entry;
  const pages: RowWrite[] = [];
  for (let cut = projection.seal(key, entry.row); cut; cut = projection.seal(key, entry.row)) {
    pages.push({ key: cut.key, value: jsonOf(cut.row), expectedRevision: 0, position });
    entry.row = cut.rest;
  }
  return pages;
}

function jsonOf(row: unknown): Uint8Array | undefined {
  return row === undefined ? undefined : Buffer.from(JSON.stringify(row));
}
