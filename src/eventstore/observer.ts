/** Where the state that a command was decided on came from; `new` = it was taken not to exist. */
export type StateSource = 'cache' | 'snapshot' | 'log' | 'new';

/**
 * Told what happens inside the event store, for metrics. Every function may be absent and costs nothing then; none may
 * throw or wait. What a command or an append came to is seen from outside, by decorators, and not told here.
 */
export interface StoreObserver {
  /** Another process was faster: commands of the category are decided again. */
  retried?(category: string): void;
  /** State is at hand. */
  loaded?(source: StateSource): void;
  /** How many commits the log had beyond a snapshot that was loaded, known once a commit is stored or the tail is read. */
  snapshotAge?(commits: number): void;
  /** How many aggregates the cache holds now. */
  cached?(entries: number): void;
  /** A commit was sent again because no answer came. */
  repeated?(): void;
}
