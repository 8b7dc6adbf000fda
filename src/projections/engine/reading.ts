import { EventStoreError, numberOf, type Position } from '../../eventstore/index.ts';
import type { DeadLetterRow } from './dead-letters.ts';
/** A row as the API serves it. */
export interface ReadRow {
  /** UTF-8 JSON, passed through to the client. */
  readonly json: Uint8Array;
  /** Position of the last commit that the row has seen; for a row of one aggregate also the aggregate's version. */
  readonly position: Position;
}

/** How fresh an answer has to be. */
export interface ReadOptions {
  /** The answer must show at least this position of the log; reads through the leader. */
  readonly minPosition?: Position | undefined;
  /** How long to wait for it, in milliseconds; default 2,000. */
  readonly waitMs?: number | undefined;
}

/** Which page of a list is wanted. */
export interface PageRequest extends ReadOptions {
  /** 1 to 200. */
  readonly limit: number;
  /** Opaque, from an earlier page; holds keys, never revisions. */
  readonly cursor?: string | undefined;
}

/** A page of a list. */
export interface Page {
  /** Rows as UTF-8 JSON, in the list's order. */
  readonly items: readonly Uint8Array[];
  /** The cursor of the next page; absent on the last one. */
  readonly next?: string | undefined;
  /** Everything up to here is in the list; absent where it was not looked up. */
  readonly position?: Position | undefined;
  /** Set where rows that cannot be read may belong to it too. */
  readonly incomplete?: true | undefined;
}

/** A view did not reach the demanded position in time. */
export class ViewBehind extends Error {
  readonly view: string;
  readonly wanted: Position;
  readonly reached: Position;

  constructor(view: string, wanted: Position, reached: Position) {
    super(
      `The read model ${view} is at position ${numberOf(reached)}; ${numberOf(wanted)} was asked for. Try again, or ask for less.`,
    );
    this.name = 'ViewBehind';
    this.view = view;
    this.wanted = wanted;
    this.reached = reached;
  }
}

/** A list that is not known yet: its rows are still being read. */
export class ListNotBuilt extends EventStoreError {
  constructor(view: string, cause?: unknown) {
    super('view/list-not-built', `The lists of ${view} are being built; try again in a moment.`, {
      cause,
      retryable: true,
    });
  }
}

/** A cursor that this service did not make. */
export class InvalidCursor extends Error {
  constructor() {
    super('The cursor is not one of this list: start again without it.');
    this.name = 'InvalidCursor';
  }
}

/** How far a view is. */
export interface ViewStatus {
  readonly view: string;
  readonly position: Position;
  /** Commits of the log that the view has not applied yet. */
  readonly lag: number;
  readonly running: boolean;
  readonly lastError?: string | undefined;
  /** How many of the view's groups run in this process. */
  readonly groups?: { readonly owned: number; readonly of: number };
  /** Rows that are dead letters: each shows what it was before the event that could not be applied. */
  readonly deadLetters?: readonly DeadLetterRow[];
}
