import type { RecordedCommit } from '../eventstore/log.ts';

/**
 * A row in memory. Commits that touch it stay listed until the bucket has acknowledged a row that has seen them,
 * so that after a lost fence nothing has to be read from the log again. They are listed as they were stored: what was
 * decoded of them is many times as large, and a commit whose row is loaded again can be decoded again.
 *
 * clean -> queued -> writing -> clean (or queued again, when commits came meanwhile)
 * any of them -> loading (unknown row, gap, lost fence, no answer) -> clean or queued
 */
export interface Entry {
  readonly key: string;
  phase: 'loading' | 'clean' | 'queued' | 'writing';
  row: unknown;
  /** Position of the last commit that `row` has seen. */
  position: number;
  /** What the next write must expect. */
  revision: number;
  /** Position of the newest value that the bucket is known to hold. */
  acked: number;
  /** Touched the row and are not sent; folded into `row` unless the entry is loading. */
  waiting: RecordedCommit[];
  /** Are in the write under way. */
  sent: RecordedCommit[];
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
export function unknownEntry(key: string): Entry {
  return {
    key,
    phase: 'loading',
    row: undefined,
    position: 0,
    revision: 0,
    acked: 0,
    waiting: [],
    sent: [],
    gap: false,
    attempts: 0,
    bytes: 0,
    counted: 0,
    touched: false,
  };
}

/** The position of the oldest commit that is not acknowledged for this row; undefined when all are. */
export function oldestUnacked(entry: Entry): number | undefined {
  return (entry.sent[0] ?? entry.waiting[0])?.position;
}
