import type { FactCommit } from './facts.ts';

/**
 * A row in memory. Commits that touch it stay listed until the bucket has acknowledged a row that has seen them,
 * so that after a lost fence nothing has to be read from the log again.
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
  waiting: FactCommit[];
  /** Are in the write under way. */
  sent: FactCommit[];
  /** A commit came that does not follow the row: load as soon as the write under way has ended. */
  gap: boolean;
  /** Failures in a row of reading or writing this key. */
  attempts: number;
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
  };
}

/** The position of the oldest commit that is not acknowledged for this row; undefined when all are. */
export function oldestUnacked(entry: Entry): number | undefined {
  return (entry.sent[0] ?? entry.waiting[0])?.commit.position;
}
