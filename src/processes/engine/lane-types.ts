import type { RecordedCommit } from '../../eventstore/log.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import type { StreamRef } from '../../eventstore/stream.ts';
import type { Progress } from './progress.ts';
import type { EngineSettings } from './settings.ts';

/** What the front of a lane is to be done with. */
export interface LaneTask {
  readonly stream: StreamRef;
  /** The lane's commits in order; empty when only a parked one is to be looked at. */
  readonly commits: readonly RecordedCommit[];
  /** 1, or one more than the tries that failed. */
  readonly attempt: number;
  /** When it failed for the first time, in milliseconds since the Unix epoch. */
  readonly failingSince?: number | undefined;
  /** Set when it must not be tried again: what it failed with last. */
  readonly spilled?: { readonly error: unknown } | undefined;
}

/** What came of it: so many commits are done; or one failed; or the consumer must stop. */
export type LaneResult =
  /** `again`: a parked commit was dealt with and there may be more. */
  | { readonly done: number; readonly again?: boolean }
  | { readonly retryAfterMs: number; readonly error: unknown }
  | { readonly stop: unknown };

/** The lanes of a group: in order for each aggregate, side by side for different ones, bounded. */
export interface Lanes {
  /** Puts a commit into its lane; resolves when there is room for it, or the lanes have halted. */
  admit(commit: RecordedCommit): Promise<void>;
  /** A position that does not concern the consumer. */
  pass(position: number): void;
  /** Lets an aggregate's lane look at its parked commits. */
  nudge(stream: StreamRef): void;
  /** Nothing more is begun until it is called with false. */
  hold(held: boolean): void;
  readonly held: number;
  readonly running: number;
  /** Lanes that wait for another try. */
  readonly retrying: number;
  /** The oldest commit that is not done. */
  oldest(): RecordedCommit | undefined;
  /** Begins nothing any more; resolves when what runs has ended. */
  halt(): Promise<void>;
}

/** One aggregate's lane. */
export interface Lane {
  readonly stream: StreamRef;
  readonly queue: RecordedCommit[];
  state: 'ready' | 'running' | 'waiting';
  nudged: boolean;
  attempt: number;
  /** How many commits it held when it was last tried. */
  tried: number;
  /** When the next try of its back-off is due, in milliseconds since the Unix epoch; 0 when it does not fail. */
  dueAt: number;
  failure: { readonly error: unknown; readonly firstAt: number } | undefined;
  spilled: boolean;
  wake: AbortController | undefined;
}

export interface LanesDeps {
  readonly runtime: Runtime;
  readonly settings: EngineSettings;
  readonly progress: Progress;
  /** Does the front of a lane; never rejects. */
  readonly perform: (task: LaneTask) => Promise<LaneResult>;
  /** Called when commits have become done. */
  readonly advanced: () => void;
  readonly stopped: (error: unknown) => void;
}
