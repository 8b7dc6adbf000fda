import type { Around, Position, RecordedCommit } from '../../eventstore/index.ts';
import type { MetForeign } from './passed/foreign.ts';

/** A commit that is handed to views. */
export interface Handed {
  readonly commit: RecordedCommit;
  readonly views: readonly { readonly projection: { readonly name: string } }[];
}

/** How far a bucket that is being filled has come. */
export interface RebuildProgress {
  readonly view: string;
  /** Commits of the log that are taken in. */
  readonly applied: number;
  /** Commits in the log. */
  readonly total: number;
  readonly eventsPerSecond: number;
  readonly etaSeconds: number;
}

/** The filling of a view's new bucket. */
export interface Rebuild {
  readonly view: string;
  /** Undefined until it has begun. */
  readonly progress: () => RebuildProgress | undefined;
}

/**
 * Told what the views do, for metrics and traces. A plain object of functions, each of which may be absent and costs
 * nothing then. None may throw or wait.
 */
export interface ProjectionObserver {
  /**
   * Around each commit near the log's end; older ones belong to traces that nobody looks at any more. Calls `run`
   * before it returns.
   */
  aroundCommit?(handed: Handed, run: (handed: Handed) => void): void;
  /** A view was handed a commit. */
  applied?(view: string): void;
  /** A message of somebody else was met in the log, by this process first of all. */
  foreign?(met: MetForeign): void;
  /** A row that its bucket had lost was folded again from the log. */
  rowHealed?(row: { readonly view: string; readonly key: string; readonly position: Position }): void;
  /** Rows of a view were stored, or one could not be: how long the server took for the request. */
  wrote?(view: string, rows: number, ms: number): void;
  /** The lists of a view answer from here on: how long it took to make them of a bucket, or to go on with them. */
  indexed?(index: { readonly view: string; readonly bucket: string; readonly ms: number }): void;
  /** The lists of a view cannot be kept at the moment; told once for each reason, and tried again. */
  indexFailed?(failure: { readonly view: string; readonly error: unknown }): void;
  readonly aroundRebuild?: Around<Rebuild, { readonly bucket: string; readonly switched: boolean }>;
}
