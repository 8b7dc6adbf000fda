/** How a consumer stands in this process; of the groups that it holds here, unless said otherwise. */
export interface ConsumerStatus {
  readonly consumer: string;
  /** Commits that are stored and neither handled nor parked. */
  readonly lag: number;
  /** Age of the oldest of them that was read, in seconds; 0 when there is none. */
  readonly lagSeconds: number;
  /** When that one was decided, in milliseconds since the Unix epoch. */
  readonly oldestAt: number | undefined;
  /** Commits in memory. */
  readonly held: number;
  /** Handlers under way. */
  readonly running: number;
  /** Aggregates that wait for another try. */
  readonly retrying: number;
  /** Tries that were repeated since the start of this process. */
  readonly retries: number;
  /** Parked commits of all groups, as far as this process has seen. */
  readonly parked: number;
  readonly paused: boolean;
  /** True when the consumer has stopped for good here; `lastError` says why. */
  readonly stopped: boolean;
  /** The groups that it holds here. */
  readonly groups: readonly number[];
  readonly lastError: string | undefined;
}
