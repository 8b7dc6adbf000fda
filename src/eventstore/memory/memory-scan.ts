import { LogUnavailable } from '../errors.ts';
import type { LogBatch, RecordedCommit, ScanOptions } from '../log.ts';
import { type LogFilter, matchesFilter } from '../stream.ts';
import type { MemoryStore } from './memory-store.ts';
import { arrive, type Place } from './memory-transport.ts';

const BATCH = 100;

/** Reads a store in order, as `Log.scan` says. */
export async function* scanStore(
  store: MemoryStore,
  place: Place,
  options: ScanOptions,
): AsyncGenerator<LogBatch, void> {
  const { after, filter = {}, follow = false, signal } = options;
  const end = follow ? Infinity : store.head();
  const remaining = createCounter(store, filter, after);
  let position = after;
  // As on the server: a reader for whom nothing is there learns at once that it is at the end.
  if (after < end && remaining(after) === 0) {
    await arrive(place, `scan after ${after}`);
    yield { commits: [], pending: 0 };
  }
  while (!signal?.aborted && position < end) {
    if (position >= store.head()) {
      await store.grown.next(signal);
      continue;
    }
    await arrive(place, `scan after ${position}`);
    if (signal?.aborted) return;
    const commits = readBatch(store, filter, disturbed(place, after, position), end);
    position = commits.upTo;
    if (commits.matching.length > 0) yield { commits: commits.matching, pending: remaining(position) };
  }
}

/** Where the next batch starts; the faults of a reader happen here. @throws LogUnavailable */
function disturbed({ world }: Place, after: number, position: number): number {
  if (world?.strikes('brokenScan')) throw new LogUnavailable('scan broken off, simulated');
  return world?.strikes('redelivery') ? after + Math.floor(world.random() * (position - after)) : position;
}

function readBatch(
  store: MemoryStore,
  filter: LogFilter,
  after: number,
  end: number,
): { matching: RecordedCommit[]; upTo: number } {
  const matching: RecordedCommit[] = [];
  const last = Math.min(end, store.head());
  let upTo = after;
  while (upTo < last && matching.length < BATCH) {
    const commit = store.at(++upTo);
    if (commit !== undefined && matchesFilter(filter, commit.stream)) matching.push(commit);
  }
  return { matching, upTo };
}

/** Counts how many matching commits lie behind a position; looks at each commit of the log only once. */
function createCounter(store: MemoryStore, filter: LogFilter, after: number): (position: number) => number {
  /** Matching commits in `after+1..i`, at index `i - after`. */
  const matching = [0];
  return (position) => {
    while (matching.length <= store.head() - after) {
      const commit = store.at(after + matching.length);
      const match = commit !== undefined && matchesFilter(filter, commit.stream);
      matching.push((matching.at(-1) ?? 0) + (match ? 1 : 0));
    }
    return (matching.at(-1) ?? 0) - (matching[position - after] ?? 0);
  };
}
