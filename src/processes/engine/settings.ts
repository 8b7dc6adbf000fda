import type { SlotGroup } from '../../eventstore/index.ts';
/** How the consumers run. Times in milliseconds. */
export interface EngineSettings {
  /** First part of every bucket name. */
  readonly prefix: string;
  /** The instance's name, for people; a random part is added. */
  readonly instance: string;
  /** Into how many groups the slots of a consumer are shared; fixed from its first start on. */
  readonly groups: SlotGroup['count'];
  /** An instance that shows no sign for this long is replaced. */
  readonly ttlMs: number;
  /** The least time between two cursors of a group, while much is done. */
  readonly cursorMs: number;
  /** A cursor is written once it is so old, or once so many commits are done: what a takeover repeats at the most. */
  readonly cursorLongestMs: number;
  readonly cursorChanges: number;
  /** How long a timer stands in the cursor before it is armed, since most are disarmed by then. */
  readonly timerHoldMs: number;
  /** Handlers that run at once in a group. */
  readonly concurrency: number;
  /** Commits that a group holds in memory, running ones included; bounds the size of its cursor. */
  readonly maxHeld: number;
  /** Commits that a failing lane may hold before it is given up: its first one becomes a dead letter. */
  readonly laneHeld: number;
  /** How long a lane may fail before it is given up. */
  readonly deadLetterAfterMs: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** Tries of a commit under the default policy before it becomes a dead letter. */
  readonly attempts: number;
  /** Whether an error is tried again that does not say whether that may help; else it is a dead letter at once. */
  readonly retryUnknown: boolean;
  /** How long stopping waits for handlers under way. */
  readonly stopMs: number;
}

/** What a service of ordinary size starts with; an instance that dies or hangs is replaced within 7 s. */
export const defaultEngineSettings: EngineSettings = {
  prefix: 'jl',
  instance: 'engine',
  groups: 4,
  ttlMs: 5_000,
  cursorMs: 100,
  cursorLongestMs: 1_000,
  cursorChanges: 100,
  timerHoldMs: 5_000,
  concurrency: 64,
  maxHeld: 2_000,
  laneHeld: 100,
  deadLetterAfterMs: 120_000,
  backoffBaseMs: 100,
  backoffCapMs: 30_000,
  attempts: 10,
  retryUnknown: true,
  stopMs: 10_000,
};
