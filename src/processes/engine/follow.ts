import type { Bucket, Row } from '../../eventstore/bucket.ts';
import { backoffMs, type Runtime } from '../../eventstore/runtime.ts';
import { pause } from './pause.ts';

/**
 * Watches a bucket until the signal fires and starts again when the watch breaks. Each row is delivered in the order of
 * the revisions, and none that is older than what was delivered: a watch that starts again on a replica which lags
 * would bring back what has been removed since.
 * @param caughtUp called once, when the rows of the first start are through
 */
export async function follow(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  deliver: (row: Row) => void,
  caughtUp: () => void,
): Promise<void> {
  let seen = 0;
  let told = false;
  const tell = (): void => {
    if (told) return;
    told = true;
    caughtUp();
  };
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      for await (const row of bucket.watch({ signal, caughtUp: tell })) {
        attempt = 0;
        if (row.revision <= seen) continue;
        seen = row.revision;
        deliver(row);
      }
    } catch {
      // Whatever it was, only another watch shows whether it has passed.
    }
    await pause(runtime, backoffMs(runtime, attempt, 20, 1_000), signal);
  }
}
