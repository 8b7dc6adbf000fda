import { numberOf } from '../../../src/eventstore/position.ts';
import { parseEntryKey } from '../../../src/processes/engine/dead-letters/entry.ts';
import { startKey } from '../../../src/processes/engine/start.ts';
import type { MemoryBucketStore } from '../../../src/testing/memory-bucket.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { MemoryTimerStore } from '../../../src/testing/memory-timers.ts';

/** The category of what the consumer's handler appends: for each commit of a counter one commit of the same id. */
export const EFFECT = 'effect';

/** The commit that an effect stands for, as its commit id says. */
export function causeOf(commitId: string): number {
  return Number(commitId.split('@')[1]);
}

/** Behind which position the consumer began, as it is stored; undefined where it did not begin at the log's beginning and that is not. */
export function startIn(
  cursors: MemoryBucketStore | undefined,
  { from }: { readonly from: 'beginning' | 'now' },
): number | undefined {
  const row = cursors?.last(startKey('copier'));
  return from === 'beginning' ? 0 : row && numberOf(row.position);
}

/**
 * Reads the whole log: the effects of each aggregate must at every moment be a prefix of its commits, without those that
 * were discarded, and in the end all of them; no effect twice.
 * @param start behind which position; where nobody knows, whatever lies behind the first commit that was handled is due
 */
export function orderViolations(
  log: MemoryStore,
  parked: MemoryBucketStore | undefined,
  start = firstHandled(log) - 1,
): string[] {
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
      if (!discarded.has(position) && position > start) queue.push(position);
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

function firstHandled(log: MemoryStore): number {
  let first = Number.POSITIVE_INFINITY;
  for (let position = 1; position <= log.head(); position++) {
    const commit = log.at(position);
    if (commit?.stream.category === EFFECT) first = Math.min(first, causeOf(commit.commitId));
  }
  return first;
}

function discardedIn(parked: MemoryBucketStore | undefined): Set<number> {
  const audits = (parked?.writes ?? []).filter(({ key }) => key.includes('.discarded.'));
  return new Set(audits.map(({ key }) => Number(key.split('.').at(-1))));
}

/** The positions that are parked now. */
export function parkedNow(parked: MemoryBucketStore | undefined): number[] {
  const live = (parked?.writes ?? []).filter((row) => row.value.length > 0 && parked?.last(row.key) === row);
  return live.flatMap(({ key }) => {
    const named = parseEntryKey(key);
    return named === undefined ? [] : [numberOf(named.position)];
  });
}

/** The kind of the timer that the first effect of an aggregate comes with. */
export const TIMER = 'watch';

/** Every aggregate with an effect has a timer that is armed, but where its first one was discarded. */
export function timerViolations(
  log: MemoryStore,
  parked: MemoryBucketStore | undefined,
  { armed }: MemoryTimerStore,
): string[] {
  const discarded = discardedIn(parked);
  const firsts = new Map<string, number>();
  for (let position = 1; position <= log.head(); position++) {
    const { stream, commitId } = log.at(position) ?? {};
    if (stream?.category !== EFFECT || commitId === undefined || firsts.has(stream.id)) continue;
    firsts.set(stream.id, causeOf(commitId));
  }
  return [...firsts].flatMap(([id, cause]) =>
    discarded.has(cause) || armed.has(`${TIMER}.${id}`) ? [] : [`${id}: its timer is armed nowhere`],
  );
}

/** The rows of a bucket's fences and cursors: no owner comes back after another, and no floor goes back. */
export function ownershipViolations(
  parked: MemoryBucketStore | undefined,
  cursors: MemoryBucketStore | undefined,
): string[] {
  const owners = new Map<string, { readonly last: string; readonly gone: Set<string> }>();
  const found: string[] = [];
  for (const { key, value } of (parked?.writes ?? []).filter((row) => row.key.includes('.fence.'))) {
    const { owner } = JSON.parse(Buffer.from(value).toString('utf8')) as { owner: string };
    const name = owner.slice(0, owner.lastIndexOf('/'));
    const { last, gone } = owners.get(key) ?? { last: name, gone: new Set<string>() };
    if (gone.has(name)) found.push(`${name} parks again in ${key} after ${last} has taken over`);
    if (name !== last) gone.add(last);
    owners.set(key, { last: name, gone });
  }
  const floors = new Map<string, number>();
  for (const { key, position } of cursors?.writes ?? []) {
    const before = floors.get(key) ?? 0;
    const floor = numberOf(position);
    if (floor < before) found.push(`the cursor ${key} goes back from ${before} to ${floor}`);
    floors.set(key, floor);
  }
  return found;
}
