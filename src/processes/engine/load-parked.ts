import type { Bucket } from '../../eventstore/bucket.ts';
import { LogUnavailable } from '../../eventstore/errors.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import { groupOfSlot, type SlotGroup, slotOf } from '../../eventstore/stream.ts';
import { parseEntryKey } from './parked-entry.ts';
import type { ParkedIndex } from './parked-index.ts';
import { persist } from './pause.ts';

/**
 * Brings the index of a group up to date with everything that was parked before its fence was claimed. That the watch
 * has passed the claim shows what was removed, but not all that is there: an entry that an operator marked meanwhile
 * left its place before the claim and stands behind it. So the rows are listed, too.
 * @throws LogUnavailable once the signal has fired
 */
export async function loadParked(deps: {
  readonly bucket: Bucket;
  readonly index: ParkedIndex;
  readonly runtime: Runtime;
  readonly consumer: string;
  readonly group: SlotGroup;
  readonly fence: string;
  /** Of the claim. */
  readonly revision: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { bucket, index, runtime, consumer, group, fence, revision, signal } = deps;
  await index.reached(revision, signal);
  await persist({ runtime, signal }, async () => {
    let claimSeen = false;
    for await (const row of bucket.rows({ prefix: `${consumer}.`, signal })) {
      if (row.key === fence) claimSeen = row.revision >= revision;
      const id = parseEntryKey(row.key)?.stream.id;
      // What a replica that lags says of others' groups could be older than what is known.
      if (id !== undefined && groupOfSlot(slotOf(id), group.count) === group.index) index.apply(row);
    }
    if (!claimSeen) throw new LogUnavailable(`listing ${bucket.name}: the replica is behind`);
  });
}
