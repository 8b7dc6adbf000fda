import {
  type CheckpointDeps,
  checkpointKey,
  checkpointValue,
  readCheckpoint,
  writeCheckpoint,
} from './checkpoint.ts';
import { BucketRewound } from './errors.ts';

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
  readonly position: number;
  /** Says that there may be something to write; writes at the next due time, and at once what somebody waits for. */
  changed(): void;
  /** Waits for a position; it is stored as soon as it can be, without pacing. */
  hurry(position: number): Waiting;
  /** Writes now, when there is something to write. @throws LogUnavailable, OutcomeUnknown, BucketRewound */
  flush(): Promise<void>;
  /** Looks whether what was stored is still there. @throws LogUnavailable, BucketRewound */
  verify(): Promise<void>;
  /** No more writes are begun. */
  stop(): void;
}

/**
 * Paces a group's checkpoints, `intervalMs` apart. `current` says what is acknowledged now; `failed` hears what it
 * cannot get over.
 */
export function createCheckpoint(
  deps: CheckpointDeps & { readonly intervalMs: number },
  opened: { position: number; revision: number },
  current: () => { position: number; covers: number },
  failed: (error: unknown) => void,
): Checkpoint {
  const { bucket, group, runtime, intervalMs } = deps;
  const waiters = new Set<{ readonly position: number; readonly resolve: () => void }>();
  let { position, revision } = opened;
  let due = false;
  let stopped = false;
  let lastTry = Number.NEGATIVE_INFINITY;
  let writing: Promise<void> | undefined;

  const release = (): void => {
    for (const waiter of waiters) {
      if (!stopped && waiter.position > position) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };

  const write = async (): Promise<void> => {
    lastTry = runtime.now();
    for (let next = current(); next.position > position && !stopped; next = current()) {
      const value = checkpointValue(deps, next.position, next.covers, position);
      const result = await writeCheckpoint(deps, value, revision);
      if (result.written) {
        if (result.revision <= next.covers) throw new BucketRewound(bucket.name, checkpointKey(group));
        revision = result.revision;
        position = next.position;
        return;
      }
      const stored = await readCheckpoint(bucket, group);
      if (stored === undefined || stored.position < position) {
        throw new BucketRewound(bucket.name, checkpointKey(group));
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
      if (waiter.position > position && waiter.position <= reachable) {
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
    changed: () => {
      writeForWaiters();
      if (due || stopped) return;
      due = true;
      void later();
    },
    hurry: (wanted) => {
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
      const known = revision;
      const stored = await readCheckpoint(bucket, group);
      if ((stored?.revision ?? 0) < known) throw new BucketRewound(bucket.name, checkpointKey(group));
    },
    stop: () => {
      stopped = true;
      release();
    },
  };
}
