import type { Bucket } from '../eventstore/bucket.ts';
import type { Log, RecordedCommit } from '../eventstore/log.ts';
import { type Entry, unknownEntry } from './entry.ts';
import { BucketRewound, FoldFailure, RowsLost } from './errors.ts';
import { type FactDecoder, foldFacts, visitRows } from './facts.ts';
import { foldRow } from './fold-row.ts';
import type { Projection } from './projection.ts';
import type { SeenRevisions } from './writer.ts';

export interface LoaderDeps {
  readonly projection: Projection;
  readonly bucket: Bucket;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly seen: SeenRevisions;
}

/** The JSON of a stored row; undefined for a tombstone. */
export function parseRow(value: Uint8Array): unknown {
  if (value.length === 0) return undefined;
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8'));
}

/** Whether a commit may be folded onto an entry without losing what lies between. */
export function follows(projection: Projection, entry: Entry, commit: RecordedCommit): boolean {
  return projection.crossesAggregates || commit.previous === entry.position;
}

/**
 * Fills an entry from the bucket, through the leader, and folds what waits for it. Commits may go on arriving in
 * `waiting` meanwhile. `waiting` keeps only what the bucket has not seen.
 * @returns how many commits the bucket had seen, which wait no longer
 * @throws LogUnavailable; BucketRewound and RowsLost when the bucket forgot a write; FoldFailure when
 *   decoding or `evolve` throws
 */
export async function loadEntry(deps: LoaderDeps, entry: Entry): Promise<number> {
  const { projection, bucket } = deps;
  const stored = await bucket.get(entry.key, { leader: true });
  const position = stored?.position ?? 0;
  if (position < entry.acked) {
    if (projection.crossesAggregates) throw new RowsLost(projection.name, bucket.name, entry.key);
    throw new BucketRewound(bucket.name, entry.key);
  }
  deps.seen.highest = Math.max(deps.seen.highest, stored?.revision ?? 0);
  entry.row = stored === undefined ? undefined : parseRow(stored.value);
  entry.position = position;
  entry.acked = position;
  entry.revision = stored?.revision ?? 0;
  entry.bytes = stored?.value.length ?? 0;
  const before = entry.waiting.length;
  entry.waiting = entry.waiting.filter((commit) => commit.position > position);
  const seen = before - entry.waiting.length;
  while (!foldWaiting(deps, entry)) await heal(deps, entry);
  return seen;
}

/** Folds the waiting commits in order; false at the first that does not follow. */
function foldWaiting({ projection, decode }: LoaderDeps, entry: Entry): boolean {
  for (const commit of entry.waiting) {
    const { stream, position } = commit;
    if (position <= entry.position) continue;
    if (!follows(projection, entry, commit)) return false;
    try {
      visitRows(projection, decode(commit), (key, own) => {
        if (key === entry.key) entry.row = foldFacts(projection, entry.row, own.facts);
      });
    } catch (error) {
      throw new FoldFailure(stream, position, error);
    }
    entry.position = position;
  }
  return true;
}

/** Folds the row again from the log, up to the last commit that waits. */
async function heal(deps: LoaderDeps, entry: Entry): Promise<void> {
  const last = entry.waiting.at(-1);
  if (last === undefined) return;
  const { stream, position } = last;
  const folded = await foldRow(deps, stream, entry.key, position);
  entry.row = folded.row;
  entry.position = position;
}

/** An entry for a commit that is the first of its aggregate: nothing can be stored before it. */
export function firstEntry(key: string): Entry {
  const entry = unknownEntry(key);
  entry.phase = 'clean';
  return entry;
}
