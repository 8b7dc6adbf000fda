import type { Log } from '../../../src/eventstore/log.ts';
import { BEGINNING, latest } from '../../../src/eventstore/position.ts';
import { shareScans } from '../../../src/eventstore/reading/shared-scans.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { EnginePlant } from './engine-world.ts';

/** So little that those who are slow fall behind it often. */
const KEPT = { commits: 8, bytes: 1e6 };

/** Groups that read the end of the log together, beside somebody who follows all of it and is away now and then. */
export const sharing =
  (spoil: (log: Log) => Log['scan'] = ({ scan }) => scan): EnginePlant =>
  () =>
  (deps) => {
    const { log, runtime } = deps;
    const scan = shareScans({ log: { head: log.head, scan: spoil(log) }, runtime, kept: KEPT });
    void followAll({ scan, head: log.head }, runtime);
    return { ...deps, log: { ...log, scan } };
  };

async function followAll(log: Pick<Log, 'scan' | 'head'>, runtime: Runtime): Promise<never> {
  let after = BEGINNING;
  for (;;) {
    try {
      for await (const { through } of log.scan({ after, follow: true })) {
        after = latest(after, through);
        if (runtime.random() < 0.1) break;
      }
    } catch {
      // The log is away.
    }
    await runtime.sleep(runtime.random() * 500);
  }
}

/** What protocol 38 stands on, each broken. */
export const sharingPlants: Readonly<Record<string, EnginePlant>> = {
  'a group that believes to have come up where a replica ends': sharing(
    (log) =>
      async function* (options) {
        if (options.filter?.group !== undefined) yield { commits: [], through: await log.head(), pending: 0 };
        yield* log.scan(options);
      },
  ),
  'a common reader that goes on at the end of the log': sharing(
    (log) =>
      async function* (options) {
        const after = options.filter === undefined ? await log.head() : options.after;
        yield* log.scan({ ...options, after });
      },
  ),
};
