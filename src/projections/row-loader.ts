import type { Bucket } from '../eventstore/bucket.ts';
import type { Log, RecordedCommit } from '../eventstore/log.ts';
import type { StreamRef } from '../eventstore/stream.ts';
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
 * Fills an entry from the bucket, through the leader, and folds what waits for it: from what was kept, or else from the
 * log. Commits may go on arriving meanwhile. `waiting` keeps only what the bucket has not seen.
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
  entry.waiting = entry.waiting.filter((each) => each > position);
  const seen = before - entry.waiting.length;
  while (!foldKept(deps, entry)) await heal(deps, entry);
  entry.kept = projection.crossesAggregates ? entry.kept.filter((each) => each.position > position) : [];
  return seen;
}

/** Folds the kept commits in order; false at the first that does not follow, and when others wait too. */
function foldKept({ projection, decode }: LoaderDeps, entry: Entry): boolean {
  for (const commit of entry.kept) {
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
  return entry.position >= (entry.waiting.at(-1) ?? 0);
}

/**
 * Brings the row up to the last commit that waits, from the log: from the stored row on when what waits was let go after
 * it had been folded, from the first commit on when something is missing between.
 */
async function heal(deps: LoaderDeps, entry: Entry): Promise<void> {
  const [first] = entry.waiting;
  const position = entry.waiting.at(-1);
  if (position === undefined) return;
  const letGo = entry.kept.every((commit) => commit.position !== first);
  const from = letGo ? { row: entry.row, position: entry.position } : undefined;
  const folded = await foldRow(deps, entry.stream, entry.key, position, from);
  entry.row = folded.row;
  entry.position = position;
}

/** An entry for a commit that is the first of its aggregate: nothing can be stored before it. */
export function firstEntry(key: string, stream: StreamRef): Entry {
  const entry = unknownEntry(key, stream);
  entry.phase = 'clean';
  return entry;
}
