import type { RecordedCommit } from '../eventstore/log.ts';
import type { StreamRef } from '../eventstore/stream.ts';

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
  position: number;
  /** What the next write must expect. */
  revision: number;
  /** Position of the newest value that the bucket is known to hold. */
  acked: number;
  /** Positions of the commits that touched the row and are not sent. */
  waiting: number[];
  /** Positions of those in the write under way. */
  sent: number[];
  /** Those of `sent` and `waiting` that `row` has not seen; of a row that crosses aggregates all of them. */
  kept: RecordedCommit[];
  /** A commit came that does not follow the row: load as soon as the write under way has ended. */
  gap: boolean;
  /** Failures in a row of reading or writing this key. */
  attempts: number;
  /** Length of the JSON that was last read or sent, which is what the memory for its row is reckoned by. */
  bytes: number;
  /** As much of it as is counted in the size of the cache. */
  counted: number;
  /** Touched again since it was looked at for being forgotten. */
  touched: boolean;
}

/** An entry whose row is not known yet. */
export function unknownEntry(key: string, stream: StreamRef): Entry {
  return {
    key,
    stream,
    phase: 'loading',
    row: undefined,
    position: 0,
    revision: 0,
    acked: 0,
    waiting: [],
    sent: [],
    kept: [],
    gap: false,
    attempts: 0,
    bytes: 0,
    counted: 0,
    touched: false,
  };
}

/** The position of the oldest commit that is not acknowledged for this row; undefined when all are. */
export function oldestUnacked(entry: Entry): number | undefined {
  return entry.sent[0] ?? entry.waiting[0];
}
