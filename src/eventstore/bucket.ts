import type { Position } from './position.ts';

/** A value of a bucket with what fences it. */
export interface Row {
  readonly key: string;
  readonly value: Uint8Array;
  /** Sequence of this value in its bucket; what the next write must expect. */
  readonly revision: number;
  /** Position in the log of the last commit that this value has seen; 0 when it says nothing about positions. */
  readonly position: Position;
}

/** A row as it is to be written, fenced by the revision before it. */
export interface RowWrite {
  readonly key: string;
  /** `undefined` removes the row and leaves a tombstone that still carries the position. */
  readonly value: Uint8Array | undefined;
  /** The revision that must be the last one of this key; 0 = the key was never written. */
  readonly expectedRevision: number;
  /** Absent when the row says nothing about positions. */
  readonly position?: Position | undefined;
}

/** What became of one write. */
export type WriteResult =
  | { readonly written: true; readonly revision: number }
  | { readonly written: false /** Another writer was there first; read again through the leader. */ };

/** What became of a batch: all of it, or nothing. */
export type BatchResult =
  | {
      readonly written: true /** Of the last row; the others have the ones before it, in order. */;
      readonly lastRevision: number;
    }
  | { readonly written: false };

/** What is watched of a bucket. */
export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Only what was written after this revision; everything unless given. */
  readonly after?: number;
  /** Called once, when the rows of the start are through. */
  readonly caughtUp?: () => void;
  /** Called whenever everything that is in the bucket at that moment has been handed out. */
  readonly settled?: () => void;
  /** Ends when the server was lost, instead of going on where it was: what is behind that may be written anew. */
  readonly untilLost?: boolean;
}

/** Key-value storage with optimistic concurrency per key: read models, checkpoints, snapshots. */
export interface Bucket {
  readonly name: string;
  /**
   * The last value of a key. `leader: true` sees every write acknowledged before; the default may be served by a
   * replica that lags. A removed row is returned with `value.length === 0`.
   * @throws LogUnavailable
   */
  get(key: string, options?: { leader?: boolean }): Promise<Row | undefined>;
  /** The last values of up to 1,000 keys, all from one state of any replica; a key that was never written is left out. @throws LogUnavailable */
  getAll(keys: readonly string[]): Promise<readonly Row[]>;
  /** One conditional write. An answer that does not come throws: the row may or may not be written. @throws LogUnavailable, OutcomeUnknown */
  write(row: RowWrite): Promise<WriteResult>;
  /**
   * All or none of 1 to 1,000 writes, no key twice; `undefined` where the storage has no batches.
   * @throws LogUnavailable, OutcomeUnknown, RangeError
   */
  readonly writeAll?: ((rows: readonly RowWrite[]) => Promise<BatchResult>) | undefined;
  /** Every live row, in the order of their last write, up to the bucket's end; one that is written meanwhile may come again. */
  rows(options?: { prefix?: string; signal?: AbortSignal }): AsyncIterable<Row>;
  /** Every row and then every change, until the signal fires. */
  watch(options: WatchOptions): AsyncIterable<Row>;
  /**
   * Another text once anything was written to the bucket or removed from it, by whomever, as its leader knows; and after
   * each loss of the connection, behind which the server may have lost writes.
   * @throws LogUnavailable
   */
  stamp(): Promise<string>;
  /** Another text when the server is another one than before, which may have lost what it had acknowledged. */
  serverId(): string;
}
