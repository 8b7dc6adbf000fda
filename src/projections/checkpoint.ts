import type { Bucket, Row } from '../eventstore/bucket.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { BucketRewound, ForeignCheckpoint } from './errors.ts';
import { RESERVED } from './projection.ts';

/** The key of a view's checkpoint in its own bucket; no row can have it. */
export const CHECKPOINT_KEY = `${RESERVED}checkpoint`;

/**
 * What a checkpoint says. It stands in the bucket of the rows that it covers and is written after them, so a bucket
 * that forgets its newest writes forgets the checkpoint first. A checkpoint written after such a loss would lie:
 * `covers` shows it, because then the checkpoint's own revision is not above it.
 */
export interface CheckpointValue {
  /** Every row has seen all commits up to here. */
  readonly position: number;
  /** The highest revision that the rows up to `position` are known to have. */
  readonly covers: number;
  /** What the checkpoint before this one proved; the fence on its revision shows that it was still there. */
  readonly proven: number;
  /** The life of the log whose positions these are. */
  readonly incarnation: string;
  /** The projection's version. */
  readonly version: string;
  /** When it was written, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** A stored checkpoint as its readers need it. */
export interface StoredCheckpoint {
  readonly value: CheckpointValue;
  readonly revision: number;
  /** The position that can be relied on. */
  readonly position: number;
}

/** The checkpoint of a bucket, through the leader; undefined when none was written. @throws LogUnavailable */
export async function readCheckpoint(bucket: Bucket): Promise<StoredCheckpoint | undefined> {
  return parseCheckpoint(await bucket.get(CHECKPOINT_KEY, { leader: true }));
}

/** A row of the key `CHECKPOINT_KEY`. */
export function parseCheckpoint(row: Row | undefined): StoredCheckpoint | undefined {
  if (row === undefined || row.value.length === 0) return undefined;
  const value = JSON.parse(Buffer.from(row.value).toString('utf8')) as CheckpointValue;
  const sound = value.covers < row.revision;
  return { value, revision: row.revision, position: sound ? value.position : value.proven };
}

/** A view's place in the log. */
export interface Checkpoint {
  /** The newest position that is stored. */
  readonly position: number;
  /** Says that there may be something to write; writes at the next due time. */
  changed(): void;
  /** Writes now, when there is something to write. @throws LogUnavailable, OutcomeUnknown, BucketRewound */
  flush(): Promise<void>;
  /** Looks whether what was stored is still there. @throws LogUnavailable, BucketRewound */
  verify(): Promise<void>;
  /** No more writes are begun. */
  stop(): void;
}

interface CheckpointDeps {
  readonly view: string;
  readonly version: string;
  readonly bucket: Bucket;
  readonly incarnation: string;
  readonly runtime: Runtime;
  readonly intervalMs: number;
}

/**
 * Reads where a view is, or writes that it is at the beginning, before any row is.
 * @throws ForeignCheckpoint of another incarnation or version, or beyond `head`, the log's end (protocol 15)
 */
export async function openCheckpoint(
  deps: CheckpointDeps,
  head: number,
): Promise<{ position: number; revision: number }> {
  const { bucket, view } = deps;
  for (;;) {
    const stored = await readCheckpoint(bucket);
    if (stored !== undefined) {
      const { incarnation, version } = stored.value;
      const refuse = (why: string) => new ForeignCheckpoint(view, bucket.name, why);
      if (incarnation !== deps.incarnation) {
        throw refuse(`it was filled from the log's life ${incarnation}, and this one is ${deps.incarnation}`);
      }
      if (version !== deps.version) throw refuse(`it holds version ${version}, and this is ${deps.version}`);
      if (stored.value.position > head) {
        throw refuse(`its checkpoint ${stored.value.position} lies beyond the log's end ${head}`);
      }
      return stored;
    }
    const first = checkpointValue(deps, 0, 0, 0);
    const result = await writeCheckpoint(bucket, first, 0);
    if (result.written) return { position: 0, revision: result.revision };
  }
}

/** Paces a view's checkpoints. `current` says what is acknowledged now; `failed` hears what it cannot get over. */
export function createCheckpoint(
  deps: CheckpointDeps,
  opened: { position: number; revision: number },
  current: () => { position: number; covers: number },
  failed: (error: unknown) => void,
): Checkpoint {
  const { bucket, runtime, intervalMs } = deps;
  let { position, revision } = opened;
  let due = false;
  let stopped = false;
  let lastTry = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> | undefined;

  const write = async (): Promise<void> => {
    lastTry = runtime.now();
    for (let next = current(); next.position > position && !stopped; next = current()) {
      const result = await writeCheckpoint(
        bucket,
        checkpointValue(deps, next.position, next.covers, position),
        revision,
      );
      if (result.written) {
        if (result.revision <= next.covers) throw new BucketRewound(bucket.name, CHECKPOINT_KEY);
        revision = result.revision;
        position = next.position;
        return;
      }
      const stored = await readCheckpoint(bucket);
      if (stored === undefined || stored.position < position) {
        throw new BucketRewound(bucket.name, CHECKPOINT_KEY);
      }
      // Another runner feeds the same bucket: go on from what it wrote.
      ({ revision, position } = stored);
    }
  };

  const flush = async (): Promise<void> => {
    while (writing !== undefined) await writing.catch(() => undefined);
    writing = write();
    try {
      await writing;
    } finally {
      writing = undefined;
    }
  };

  const later = async (): Promise<void> => {
    await runtime.sleep(Math.max(0, lastTry + intervalMs - runtime.now()));
    due = false;
    if (stopped) return;
    try {
      await flush();
    } catch (error) {
      if (!stopped) failed(error);
    }
  };

  return {
    get position() {
      return position;
    },
    changed: () => {
      if (due || stopped) return;
      due = true;
      void later();
    },
    flush,
    verify: async () => {
      const known = revision;
      const stored = await readCheckpoint(bucket);
      if ((stored?.revision ?? 0) < known) throw new BucketRewound(bucket.name, CHECKPOINT_KEY);
    },
    stop: () => {
      stopped = true;
    },
  };
}

function checkpointValue(
  deps: CheckpointDeps,
  position: number,
  covers: number,
  proven: number,
): CheckpointValue {
  const { incarnation, version, runtime } = deps;
  return { position, covers, proven, incarnation, version, at: runtime.now() };
}

function writeCheckpoint(bucket: Bucket, value: CheckpointValue, expectedRevision: number) {
  return bucket.write({
    key: CHECKPOINT_KEY,
    value: Buffer.from(JSON.stringify(value)),
    expectedRevision,
    position: value.position,
  });
}
