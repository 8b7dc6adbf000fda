import type { SlotGroup } from '../../eventstore/stream.ts';
import { GROUPS } from './board.ts';
import { type Buckets, bucketNames } from './buckets.ts';
import { GroupsDiffer } from './errors.ts';
import { parseRow } from './rows.ts';

/**
 * Compares the configured number of groups with the one that each consumer was first started with. The engine refuses
 * another one, too, but only once it runs; this is for a start-up that says so at once.
 * @throws GroupsDiffer, LogUnavailable
 */
export async function checkGroups(
  { buckets, prefix }: { readonly buckets: Pick<Buckets, 'open'>; readonly prefix: string },
  consumers: readonly { readonly name: string }[],
  count: SlotGroup['count'],
): Promise<void> {
  const bucket = await buckets.open(bucketNames(prefix).shared);
  if (bucket === undefined) return;
  for (const { name } of consumers) {
    const stored = parseRow<{ count: number }>(await bucket.get(GROUPS + name, { leader: true }))?.count;
    if (stored !== undefined && stored !== count) throw new GroupsDiffer(name, stored, count);
  }
}
