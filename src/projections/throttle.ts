import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';

/** How often a throttled scan hands something on. */
const PARTS_PER_SECOND = 20;

/** The same log, whose scans deliver at most so many commits a second, in even parts. */
export function throttled(log: Log, runtime: Runtime, commitsPerSecond: number): Log {
  const most = Math.max(1, Math.floor(commitsPerSecond / PARTS_PER_SECOND));
  return {
    ...log,
    scan: async function* (options) {
      let due = runtime.now();
      for await (const { commits, pending } of log.scan(options)) {
        for (let from = 0; from === 0 || from < commits.length; from += most) {
          const part = commits.slice(from, from + most);
          const left = due - runtime.now();
          if (left > 0) await runtime.sleep(left);
          if (options.signal?.aborted) return;
          // Time in which nothing came is not made up for.
          due = Math.max(due, runtime.now()) + (part.length / commitsPerSecond) * 1_000;
          yield { commits: part, pending: pending + commits.length - from - part.length };
        }
      }
    },
  };
}
