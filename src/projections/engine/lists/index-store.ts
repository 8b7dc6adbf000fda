import type { Position } from '../../../eventstore/index.ts';
import type { IndexEntry, IndexList, IndexValue, ViewIndex } from './view-index.ts';

/** What a stored index belongs to. One that was made of anything else is of no use. */
export interface IndexScope {
  /** The view's name. */
  readonly name: string;
  readonly bucket: string;
  /** Of the log. */
  readonly incarnation: string;
  /** See `versionOfIndex`. */
  readonly version: string;
  readonly columns: ViewIndex['columns'];
  readonly lists: readonly IndexList[];
}

/** A checkpoint of the bucket as the index has seen it. */
export interface SeenCheckpoint {
  readonly position: Position;
  readonly revision: number;
  /** Of the start of the server in which it was written. */
  readonly server: string;
}

/** How far an index is. It is stored together with the entries. */
export interface IndexState {
  /** Everything that the bucket held up to this revision is in. */
  readonly revision: number;
  /** Everything up to here is in; undefined while the rows of the start are not. */
  readonly position: Position | undefined;
  /** By their keys in the bucket. */
  readonly checkpoints: Readonly<Record<string, SeenCheckpoint>>;
}

/** How an index begins. */
export const NOTHING_INDEXED: IndexState = { revision: 0, position: undefined, checkpoints: {} };

/** A row that has changed; without an entry it is in no list any more. */
export interface IndexChange {
  readonly key: string;
  readonly entry: IndexEntry | undefined;
}

/** Where a row stands in the order of a list. */
export interface FoundRow {
  readonly key: string;
  readonly sort: IndexValue;
}

/** A part of a list. */
export interface IndexQuery {
  /** Its place in the scope's lists. */
  readonly list: number;
  /** A value for each of the list's columns, in their order. */
  readonly equal: readonly IndexValue[];
  /** The least sort value. */
  readonly from?: IndexValue | undefined;
  /** Sort values below this one. */
  readonly below?: IndexValue | undefined;
  /** Rows behind this one, in the list's direction. */
  readonly behind?: FoundRow | undefined;
  readonly limit: number;
}

/** The index of one bucket. */
export interface StoredIndex {
  /** As it was stored last. */
  state(): IndexState;
  /** Stores all of it, or nothing. Of a key that comes twice the last one counts. @throws IndexDamaged, IndexUnusable */
  apply(changes: readonly IndexChange[], state: IndexState): Promise<void>;
  /** @throws IndexDamaged, IndexUnusable */
  find(query: IndexQuery): Promise<readonly FoundRow[]>;
  /** Throws it away. */
  remove(): Promise<void>;
}

/** Where indexes are kept: each process has its own. */
export interface IndexStore {
  /**
   * The index of a scope as it was left, or an empty one.
   * @param anew also when there is one, which stays until it is removed
   * @throws IndexUnusable
   */
  open(scope: IndexScope, anew?: boolean): Promise<StoredIndex>;
  /** Ends everything; what is stored stays. */
  close(): Promise<void>;
}
