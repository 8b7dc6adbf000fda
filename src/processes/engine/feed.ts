import type { Log, RecordedCommit } from '../../eventstore/log.ts';
import { backoffMs, type Runtime } from '../../eventstore/runtime.ts';
import type { LogFilter } from '../../eventstore/stream.ts';
import { isRetryable } from './errors.ts';
import { pause } from './pause.ts';

/** What a group is fed with, in the log's order. */
export interface Fed {
  readonly commits: readonly RecordedCommit[];
  /** How many more there were when the last of them came. */
  readonly pending: number;
}

/** How a group reads the log. */
export type Feed = (options: {
  readonly log: Log;
  readonly runtime: Runtime;
  readonly filter: LogFilter;
  /** Everything up to here is done. */
  readonly after: number;
  readonly signal: AbortSignal;
}) => AsyncIterable<Fed>;

/** Reads the log in order from a floor on, each commit once; starts again behind the last one when the log was away. */
export const orderedFeed: Feed = async function* ({ log, runtime, filter, after, signal }) {
  let seen = after;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      for await (const batch of log.scan({ after: seen, filter, follow: true, signal })) {
        attempt = 0;
        const commits = batch.commits.filter(({ position }) => position > seen);
        seen = commits.at(-1)?.position ?? seen;
        yield { commits, pending: batch.pending };
      }
    } catch (error) {
      if (!isRetryable(error)) throw error;
    }
    await pause(runtime, backoffMs(runtime, attempt, 20, 1_000), signal);
  }
};
