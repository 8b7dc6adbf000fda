import type { StoredCheckpoint } from '../checkpoint.ts';
import type { IndexState, SeenCheckpoint } from './index-store.ts';

/**
 * The revision behind which the bucket has to be read again so that an index of it is whole (protocol 31); undefined
 * where nothing proves that the bucket still holds what the index was made of.
 * @param state of the index
 * @param now the checkpoints of all groups as they are now, by their keys, read through the leader
 */
export function resumeAfter(
  state: IndexState,
  now: ReadonlyMap<string, StoredCheckpoint | undefined>,
): number | undefined {
  let proven = 0;
  for (const [key, stored] of now) {
    const seen = state.checkpoints[key];
    const there = seen && stored && provenRevision(seen, stored);
    if (there === undefined) return undefined;
    proven = Math.max(proven, there);
  }
  // What was seen behind it may have been lost, and written anew under the same revisions.
  return Math.min(state.revision, proven);
}

/** Up to where the bucket is what it was when a checkpoint was seen. */
function provenRevision(seen: SeenCheckpoint, { value, revision }: StoredCheckpoint): number | undefined {
  const { servers = [] } = value;
  const at = servers.findLastIndex(({ id }) => id === seen.server);
  if (at < 0 || seen.server === '') return undefined;
  const later = [...servers.slice(at + 1).map(({ from }) => from), revision];
  let least = seen.revision;
  for (const found of later) {
    if (found < least) return undefined;
    least = found;
  }
  return later[0];
}

/** A checkpoint as an index keeps it. */
export function seenOf({ value, revision, position }: StoredCheckpoint): SeenCheckpoint {
  return { position, revision, server: value.servers?.at(-1)?.id ?? '' };
}
