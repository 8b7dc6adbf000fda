import {
  BEGINNING,
  type Bucket,
  isAfter,
  numberOf,
  type Position,
  type Row,
  type Runtime,
  type SlotGroup,
} from '../../eventstore/index.ts';
import { BucketRewound, ForeignCheckpoint } from './errors.ts';
import { allGroups, type GroupCount, keyOfGroup, WHOLE } from './groups.ts';

/** The key of a group's checkpoint in the view's own bucket; no row can have it. */
export function checkpointKey(group: SlotGroup): string {
  return keyOfGroup('checkpoint', group);
}

/** The key of the only checkpoint of a view of one group. */
export const CHECKPOINT_KEY = checkpointKey(WHOLE);

/**
 * What a checkpoint says. It stands in the bucket of the rows that it covers and is written after them, so a bucket
 * that forgets its newest writes forgets the checkpoint first. A checkpoint written after such a loss would lie:
 * `covers` shows it, because then the checkpoint's own revision is not above it.
 */
export interface CheckpointValue {
  /** Every row has seen all commits up to here. */
  readonly position: Position;
  /** The highest revision that the rows up to `position` are known to have. */
  readonly covers: number;
  /** What the checkpoint before this one proved; the fence on its revision shows that it was still there. */
  readonly proven: Position;
  /** The incarnation of the log whose positions these are. */
  readonly incarnation: string;
  /** The projection's version. */
  readonly version: string;
  /** When it was written, in milliseconds since the Unix epoch. */
  readonly at: number;
  /** The last starts of the server; absent where an earlier release wrote it. */
  readonly servers?: readonly FoundBy[];
}

/**
 * That a checkpoint was still there when a runner opened the view first since a start of the server: so nothing up to its
 * revision was lost before (protocol 31).
 */
export interface FoundBy {
  /** See `Bucket.serverId`. */
  readonly id: string;
  /** Revision of the checkpoint that was found. */
  readonly from: number;
}

/** More than a view sees between two looks of whoever keeps an index of it. */
const SERVERS_KEPT = 16;

function serversSince(stored: StoredCheckpoint, id: string): readonly FoundBy[] {
  const { servers = [] } = stored.value;
  return servers.at(-1)?.id === id
    ? servers
    : [...servers.slice(1 - SERVERS_KEPT), { id, from: stored.revision }];
}

/** A stored checkpoint as its readers need it. */
export interface StoredCheckpoint {
  readonly value: CheckpointValue;
  readonly revision: number;
  /** The position that can be relied on. */
  readonly position: Position;
}

/** The checkpoint of a group, through the leader; undefined when none was written. @throws LogUnavailable */
export async function readCheckpoint(bucket: Bucket, group = WHOLE): Promise<StoredCheckpoint | undefined> {
  return parseCheckpoint(await bucket.get(checkpointKey(group), { leader: true }));
}

/**
 * The checkpoint of the group that is furthest behind; undefined when one has none. @throws LogUnavailable
 * @internal
 */
export async function readLowest(bucket: Bucket, count: GroupCount): Promise<StoredCheckpoint | undefined> {
  let lowest: StoredCheckpoint | undefined;
  for (const stored of await Promise.all(allGroups(count).map((group) => readCheckpoint(bucket, group)))) {
    if (stored === undefined) return undefined;
    if (lowest === undefined || isAfter(lowest.position, stored.position)) lowest = stored;
  }
  return lowest;
}

/** What a stored checkpoint says. */
export function parseCheckpoint(row: Row | undefined): StoredCheckpoint | undefined {
  if (row === undefined || row.value.length === 0) return undefined;
  const value = JSON.parse(Buffer.from(row.value).toString('utf8')) as CheckpointValue;
  const sound = value.covers < row.revision;
  return { value, revision: row.revision, position: sound ? value.position : value.proven };
}

/** Where a new bucket's group begins: everything up to `position` is there already. @returns false when it had one */
export async function beginAt(deps: CheckpointDeps, position: Position, covers: number): Promise<boolean> {
  return (await writeCheckpoint(deps, checkpointValue(deps, position, covers, BEGINNING), 0)).written;
}

export interface CheckpointDeps {
  readonly view: string;
  readonly version: string;
  readonly bucket: Bucket;
  readonly group: SlotGroup;
  readonly incarnation: string;
  readonly runtime: Runtime;
  /** How the view is rebuilt, for people. */
  readonly rebuildHint?: string | undefined;
}

/** Where a group goes on. */
export interface OpenedCheckpoint {
  readonly position: Position;
  readonly revision: number;
  readonly servers: readonly FoundBy[];
}

/**
 * Reads where a group is, or writes that it is at the beginning, before any row is.
 * @throws ForeignCheckpoint of another incarnation or version, or beyond the log's confirmed end (protocol 15)
 */
export async function openCheckpoint(
  deps: CheckpointDeps,
  confirmedEnd: () => Promise<Position>,
): Promise<OpenedCheckpoint> {
  const { bucket, view, group } = deps;
  for (;;) {
    // Of the server that is asked next, or of one before it; never of one after it.
    const server = bucket.serverId();
    const stored = await readCheckpoint(bucket, group);
    if (stored !== undefined) {
      const { incarnation, version } = stored.value;
      const refuse = (why: string) => new ForeignCheckpoint(view, bucket.name, why, deps.rebuildHint);
      if (incarnation !== deps.incarnation) {
        throw refuse(
          `it was filled from the log's incarnation ${incarnation}, and this one is ${deps.incarnation}`,
        );
      }
      if (version !== deps.version) throw refuse(`it holds version ${version}, and this is ${deps.version}`);
      // Asked after the checkpoint was read: another process may move both on in between.
      const end = await confirmedEnd();
      const { position } = stored.value;
      if (isAfter(position, end)) {
        throw refuse(`its checkpoint ${numberOf(position)} lies beyond the log's end ${numberOf(end)}`);
      }
      const { position: relied, revision } = stored;
      return { position: relied, revision, servers: serversSince(stored, server) };
    }
    const servers = [{ id: server, from: 0 }];
    const value = { ...checkpointValue(deps, BEGINNING, 0, BEGINNING), servers };
    const result = await writeCheckpoint(deps, value, 0);
    if (result.written) return { position: BEGINNING, revision: result.revision, servers };
  }
}

export function checkpointValue(
  deps: CheckpointDeps,
  position: Position,
  covers: number,
  proven: Position,
): CheckpointValue {
  const { incarnation, version, runtime } = deps;
  return { position, covers, proven, incarnation, version, at: runtime.now() };
}

export function writeCheckpoint(
  { bucket, group }: CheckpointDeps,
  value: CheckpointValue,
  expectedRevision: number,
) {
  const key = checkpointKey(group);
  const bytes = Buffer.from(JSON.stringify(value));
  return bucket.write({ key, value: bytes, expectedRevision, position: value.position });
}

/** Somebody who waits for a checkpoint. */
export interface Waiting {
  /** Resolves when the position is stored, and when the view has ended. */
  readonly reached: Promise<void>;
  /** The wait is over. */
  cancel(): void;
}

/** A group's place in the log. */
export interface Checkpoint {
  /** The newest position that is stored. */
  readonly position: Position;
  /** Says that there may be something to write; writes at the next due time, and at once what somebody waits for. */
  changed(): void;
  /** Whether somebody waits. */
  readonly awaited: boolean;
  /** Waits for a position; it is stored as soon as it can be, without pacing. */
  requestCheckpoint(position: Position): Waiting;
  /** Writes now, when there is something to write. @throws LogUnavailable, OutcomeUnknown, BucketRewound */
  flush(): Promise<void>;
  /** Looks whether what was stored is still there, unless an answer has shown that lately. @throws LogUnavailable, BucketRewound */
  verify(): Promise<void>;
  /** No more writes are begun. */
  stop(): void;
}

/**
 * Paces a group's checkpoints, `intervalMs` apart; what was written or found within `verifyMs` is not looked for.
 * `current` says what is acknowledged now; `failed` is told what it cannot get over.
 */
export function createCheckpoint(
  deps: CheckpointDeps & { readonly intervalMs: number; readonly verifyMs: number },
  opened: OpenedCheckpoint,
  current: () => { position: Position; covers: number },
  failed: (error: unknown) => void,
): Checkpoint {
  const { bucket, group, runtime, intervalMs, verifyMs } = deps;
  const waiters = new Set<{ readonly position: Position; readonly resolve: () => void }>();
  let { position, revision, servers } = opened;
  let due = false;
  let stopped = false;
  let lastTry = Number.NEGATIVE_INFINITY;
  let foundAt = runtime.now();
  let writing: Promise<void> | undefined;

  const release = (): void => {
    for (const waiter of waiters) {
      if (!stopped && isAfter(waiter.position, position)) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };

  const write = async (): Promise<void> => {
    lastTry = runtime.now();
    for (let next = current(); isAfter(next.position, position) && !stopped; next = current()) {
      const value = { ...checkpointValue(deps, next.position, next.covers, position), servers };
      const result = await writeCheckpoint(deps, value, revision);
      if (result.written) {
        if (result.revision <= next.covers) throw new BucketRewound(bucket.name, checkpointKey(group));
        revision = result.revision;
        position = next.position;
        foundAt = lastTry;
        return;
      }
      const stored = await readCheckpoint(bucket, group);
      if (stored === undefined || isAfter(position, stored.position)) {
        throw new BucketRewound(bucket.name, checkpointKey(group));
      }
      // Another runner feeds the same bucket: go on from what it wrote.
      ({ revision, position } = stored);
      servers = stored.value.servers ?? servers;
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
    release();
  };

  const attempt = async (): Promise<void> => {
    try {
      await flush();
    } catch (error) {
      if (!stopped) failed(error);
      return;
    }
    writeForWaiters();
  };

  function writeForWaiters(): void {
    if (stopped || writing !== undefined || waiters.size === 0) return;
    const reachable = current().position;
    for (const waiter of waiters) {
      if (isAfter(waiter.position, position) && !isAfter(waiter.position, reachable)) {
        void attempt();
        return;
      }
    }
  }

  const later = async (): Promise<void> => {
    await runtime.sleep(Math.max(0, lastTry + intervalMs - runtime.now()));
    due = false;
    if (!stopped) await attempt();
  };

  return {
    get position() {
      return position;
    },
    get awaited() {
      return waiters.size > 0;
    },
    changed: () => {
      writeForWaiters();
      if (due || stopped) return;
      due = true;
      void later();
    },
    requestCheckpoint: (wanted) => {
      let cancel: () => void = () => undefined;
      const reached = new Promise<void>((resolve) => {
        const waiter = { position: wanted, resolve };
        waiters.add(waiter);
        cancel = () => waiters.delete(waiter);
      });
      release();
      writeForWaiters();
      return { reached, cancel };
    },
    flush,
    verify: async () => {
      const [known, now] = [revision, runtime.now()];
      if (now - foundAt < verifyMs) return;
      const stored = await readCheckpoint(bucket, group);
      if ((stored?.revision ?? 0) < known) throw new BucketRewound(bucket.name, checkpointKey(group));
      foundAt = now;
    },
    stop: () => {
      stopped = true;
      release();
    },
  };
}
