import type { Log } from '../../eventstore/log.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import type { SlotGroup } from '../../eventstore/stream.ts';
import type { Consumer } from './consumer.ts';
import type { Cursor } from './cursor.ts';
import { concerns, filterOf } from './deliver.ts';
import type { Feed } from './feed.ts';
import type { Lanes } from './lane-types.ts';

/** Feeds a group's lanes from a floor on, until the signal fires. @param told hears how much is stored and not read */
export async function readGroup(
  deps: {
    readonly log: Log;
    readonly runtime: Runtime;
    readonly feed: Feed;
    readonly consumer: Consumer;
    readonly group: SlotGroup;
  },
  { lanes, cursor, after }: { readonly lanes: Lanes; readonly cursor: Cursor; readonly after: number },
  signal: AbortSignal,
  told: (pending: number) => void,
): Promise<void> {
  const { log, runtime, feed, consumer, group } = deps;
  const filter = filterOf(consumer, group);
  for await (const { commits, pending } of feed({ log, runtime, filter, after, signal })) {
    for (const [at, commit] of commits.entries()) {
      told(pending + commits.length - at - 1);
      if (concerns(consumer, commit)) await lanes.admit(commit);
      else lanes.pass(commit.position);
      if (signal.aborted) return;
    }
    told(pending);
    cursor.changed();
  }
}
