import type { Commit, Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { Position } from './position.ts';
import type { LogFilter, StreamRef } from './stream.ts';

/** What became of one append. A conflict is an answer; only faults of the infrastructure throw. */
export type AppendResult =
  | {
      readonly appended: true /** The commit's position, which is also its version. */;
      readonly version: number;
    }
  | {
      readonly appended: false /** Another commit holds the expected place. */;
      readonly conflict: StreamRef;
    };

/** One aggregate's share of an append. */
export interface AppendEntry {
  readonly stream: StreamRef;
  /** The version that must be the aggregate's last; 0 = it does not exist. */
  readonly expected: number;
  readonly commit: Commit;
}

/** An aggregate that must still be at a version when others are appended to; it is not changed itself. */
export interface Guard {
  readonly stream: StreamRef;
  /** 0 = it does not exist. */
  readonly version: number;
}

/** What became of an append to several aggregates: all or nothing. */
export type AppendAllResult =
  | { readonly appended: true /** In the order of the entries. */; readonly versions: readonly number[] }
  | {
      readonly appended: false /** An aggregate whose expectation does not hold. */;
      readonly conflict: StreamRef;
    };

/** A commit as the log holds it. */
export interface RecordedCommit {
  readonly stream: StreamRef;
  /** Sequence in the log; also the aggregate's version after this commit. */
  readonly position: Position;
  /**
   * The aggregate's version before this commit, 0 for its first; undefined when the message does not say, as one that
   * was not stored by an append.
   */
  readonly previous: number | undefined;
  /** Empty for a foreign message. */
  readonly commitId: string;
  /** Decoded at first use; none in a foreign message. @throws CorruptCommit */
  readonly decisions: readonly Decision[];
  /** Set when it is no commit of ours but a message of somebody else (protocol 20): a version without events. */
  readonly foreign?: ForeignMessage | undefined;
}

/** A message on an aggregate's subject that has no header of ours, and bytes that are no commit. */
export interface ForeignMessage {
  readonly subject: string;
  /** How many it has. */
  readonly bytes: number;
}

/** One page of an aggregate's commits, oldest first. */
export interface StreamPage {
  readonly commits: readonly RecordedCommit[];
  /** True when the page reaches the aggregate's end as it was during this call, and that is confirmed. */
  readonly confirmedEnd: boolean;
  /** Where a majority was asked: a position that it holds. Below a version that was read before, it is another log. */
  readonly witnessed?: Position | undefined;
  /** True when there may be more after this page. */
  readonly more: boolean;
}

export interface ReadOptions {
  /** Only commits with a higher version than this; 0 = from the first. */
  readonly after: number;
  /**
   * `true`: everything that was acknowledged before this call is seen, as `confirm` of the log says. `leader`: what its
   * leader has, for whom it does no harm to be late. Slower for long histories.
   */
  readonly confirm: boolean | 'leader';
  /** How many commits are wanted, 1 or more; a page may still hold others. Without it a page is as long as suits the log. */
  readonly limit?: number | undefined;
}

/** Commits of the whole log in order. */
export interface LogBatch {
  readonly commits: readonly RecordedCommit[];
  /** Nothing that matches is missing up to here: the last commit, or a message of the log's own behind it. */
  readonly through: Position;
  /** How many more messages matched the filter when the last one was delivered; 0 = at the end of the log. */
  readonly pending: number;
}

/** A batch in parts of so many commits at the most; one without commits is one part. */
export function* smallerBatches({ commits, through, pending }: LogBatch, most: number): Generator<LogBatch> {
  for (let from = 0; from === 0 || from < commits.length; from += most) {
    const part = commits.slice(from, from + most);
    const left = commits.length - from - part.length;
    const end = left === 0 ? through : (part.at(-1)?.position ?? through);
    yield { commits: part, through: end, pending: pending + left };
  }
}

export interface ScanOptions {
  /** Start behind this position; 0 = from the beginning. */
  readonly after: Position;
  readonly filter?: LogFilter;
  /** Keep waiting for new commits at the end. Without it the scan ends where the log ended when it began. */
  readonly follow?: boolean;
  /** Ends the scan; the generator returns, it does not throw. */
  readonly signal?: AbortSignal;
}

/** An incarnation that was copied and put back. */
export interface FormerIncarnation {
  readonly incarnation: string;
  /** The end of the copy: up to there a position means the same as it did then. */
  readonly last: number;
}

/** What a stream is, and what it was before it came back from a backup: who remembers a place in it goes on by this. */
export interface Lineage {
  readonly incarnation: string;
  /** Oldest first. */
  readonly former: readonly FormerIncarnation[];
}

/** The log: every event there is. Two implementations pass one contract suite: NATS and memory. */
export interface Log {
  /** A random id, made when the log is created or restored; stamped on everything that derives from positions. */
  readonly incarnation: string;
  /** Incarnations that it came back from, oldest first, where places of them are still good. */
  readonly former?: Lineage['former'];

  /**
   * Appends one commit when the aggregate's version is exactly `expected` (0 = it does not exist).
   * An answer that does not come is resolved by sending the same commit again (protocol 2).
   * @throws CommitTooLarge, InvalidId, EventStoreError `commit/invalid` before anything is sent; LogUnavailable and
   *   `log/refused` when nothing was stored; OutcomeUnknown when that cannot be said.
   */
  append(stream: StreamRef, expected: number, commit: Commit): Promise<AppendResult>;

  /**
   * Appends one commit to each of several aggregates, all or none; up to 1,000, and no aggregate twice. Costs a
   * batch: some hundred a second on one server with file storage. All commits carry one commit id. Each guard, which
   * names none of them, stores an empty message of the log's own.
   * @throws as `append`
   */
  appendAll(entries: readonly AppendEntry[], guards?: readonly Guard[]): Promise<AppendAllResult>;

  /** A page of an aggregate's history. @throws LogUnavailable */
  read(stream: StreamRef, options: ReadOptions): Promise<StreamPage>;

  /**
   * An aggregate's last commit, or its last one at a position or before it, confirmed. Two requests at the most for its
   * newest one or one of its own versions; for any other position a server looks through what lies between.
   * @throws LogUnavailable
   */
  last(stream: StreamRef, upTo?: Position): Promise<RecordedCommit | undefined>;

  /** The commit at a position, confirmed; nothing where the log's own messages are. @throws LogUnavailable */
  at(position: Position): Promise<RecordedCommit | undefined>;

  /** The first commit at a position or behind it, through the leader. @throws LogUnavailable */
  next(position: Position): Promise<RecordedCommit | undefined>;

  /** The log's last position, through the leader; 0 for an empty log. @throws LogUnavailable */
  head(): Promise<Position>;

  /**
   * A position at or below which everything lies that was acknowledged before this call: as the leader says, or, where
   * the log is opened so, as a majority does by storing something (protocol 19). @throws LogUnavailable, PermissionDenied
   */
  confirm(): Promise<Position>;

  /** The log in order, in batches as they arrive. @throws LogUnavailable when it stays away. */
  scan(options: ScanOptions): AsyncIterable<LogBatch>;
}
