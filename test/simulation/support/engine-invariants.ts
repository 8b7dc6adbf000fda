import type { MemoryBucketStore } from '../../../src/eventstore/memory/memory-bucket-store.ts';
import type { MemoryStore } from '../../../src/eventstore/memory/memory-store.ts';
import { parseEntryKey } from '../../../src/processes/engine/parked-entry.ts';

/** The category of what the consumer's handler appends: for each commit of a counter one commit of the same id. */
export const EFFECT = 'effect';

/** The commit that an effect stands for, as its commit id says. */
export function causeOf(commitId: string): number {
  return Number(commitId.split('@')[1]);
}

/**
 * Reads the whole log: the effects of each aggregate must at every moment be a prefix of its commits, without those that
 * were discarded, and in the end all of them; no effect twice.
 */
export function orderViolations(log: MemoryStore, parked: MemoryBucketStore | undefined): string[] {
  const discarded = discardedIn(parked);
  const due = new Map<string, number[]>();
  const found: string[] = [];
  for (let position = 1; position <= log.head(); position++) {
    const commit = log.at(position);
    if (commit === undefined) continue;
    const { category, id } = commit.stream;
    const queue = due.get(id) ?? [];
    due.set(id, queue);
    if (category !== EFFECT) {
      if (!discarded.has(position)) queue.push(position);
      continue;
    }
    const cause = causeOf(commit.commitId);
    // Who was at work on it when it was given up may still complete it.
    if (discarded.has(cause)) continue;
    const next = queue.shift();
    if (next !== cause) found.push(`${id}: the effect of ${cause} at ${position} where ${next} was due`);
  }
  for (const [id, queue] of due) {
    if (queue.length > 0) found.push(`${id}: nothing became of ${queue.join(', ')}`);
  }
  return found;
}

function discardedIn(parked: MemoryBucketStore | undefined): Set<number> {
  const audits = (parked?.writes ?? []).filter(({ key }) => key.includes('.discarded.'));
  return new Set(audits.map(({ key }) => Number(key.split('.').at(-1))));
}

/** The positions that are parked now. */
export function parkedNow(parked: MemoryBucketStore | undefined): number[] {
  const live = (parked?.writes ?? []).filter((row) => row.value.length > 0 && parked?.last(row.key) === row);
  return live.flatMap(({ key }) => parseEntryKey(key)?.position ?? []);
}
