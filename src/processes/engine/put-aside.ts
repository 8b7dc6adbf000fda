import type { RecordedCommit } from '../../eventstore/log.ts';
import { describeParked, type ParkReason } from './describe-parked.ts';
import type { GroupParts } from './group-parts.ts';
import { entryKey } from './parked-entry.ts';
import { persist } from './pause.ts';
import { toBytes } from './rows.ts';

/**
 * Parks commits of one aggregate; when it returns they are stored. All in one write, unless one of them has an entry.
 * @throws what `Park.write` throws
 */
export async function putAside(
  parts: GroupParts,
  commits: readonly RecordedCommit[],
  reason: Omit<ParkReason, 'write' | 'lastAt'>,
): Promise<void> {
  const expected = commits.map((commit) => ({ commit, expectedRevision: 0 }));
  if (await parts.park.write(expected.map((one) => rowOf(parts, one, reason)))) return;
  for (const { commit } of expected) await putOneAside(parts, commit, reason);
}

async function putOneAside(
  parts: GroupParts,
  commit: RecordedCommit,
  reason: Omit<ParkReason, 'write' | 'lastAt'>,
): Promise<void> {
  const { runtime, signal, bucket, index, park } = parts;
  for (;;) {
    const key = entryKey(parts.consumer.name, commit.stream, commit.position);
    const row = await persist({ runtime, signal }, () => bucket.get(key, { leader: true }));
    if (row !== undefined) index.apply(row);
    if (row !== undefined && row.value.length > 0) return;
    // Either nothing, or what is left of an entry that was redriven before the cursor was set back.
    const one = { commit, expectedRevision: row?.revision ?? 0 };
    if (await park.write([rowOf(parts, one, reason)])) return;
  }
}

function rowOf(
  { consumer, runtime }: GroupParts,
  { commit, expectedRevision }: { commit: RecordedCommit; expectedRevision: number },
  reason: Omit<ParkReason, 'write' | 'lastAt'>,
) {
  const entry = describeParked(consumer, commit, {
    ...reason,
    lastAt: runtime.now(),
    write: runtime.id(),
  });
  const key = entryKey(consumer.name, commit.stream, commit.position);
  return { key, value: toBytes(entry), expectedRevision };
}
