import { setMaxListeners } from 'node:events';
import type { Bucket } from '../../eventstore/bucket.ts';
import { LogUnavailable } from '../../eventstore/errors.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import { type Board, SESSION, type SessionValue } from './board.ts';
import { OwnershipLost } from './errors.ts';
import { pause } from './pause.ts';
import { toBytes, writeRow } from './rows.ts';

/** This process's sign of life, under which it holds its leases. */
export interface Session {
  readonly id: string;
  /** Whether its leases still hold, by this process's own clock. */
  alive(): boolean;
  /** Fires when it has ended, for whatever reason. */
  readonly ended: AbortSignal;
  /** Ends it at once, so that others take over; failing is harmless. */
  end(): Promise<void>;
}

/**
 * To be called between reading a fence and claiming it: while the session is alive nobody can have taken over, so what
 * was read is older than any successor's claim. Without it a zombie would read the successor's and claim it back.
 * @throws OwnershipLost
 */
export function checkAlive(session: Session, what: string): void {
  if (!session.alive()) throw new OwnershipLost(what);
}

interface SessionDeps {
  readonly bucket: Bucket;
  readonly board: Board;
  readonly runtime: Runtime;
  readonly instance: string;
  readonly ttlMs: number;
  /** The consumers that this process runs now. */
  readonly consumers: () => readonly string[];
  /** Gives up trying to begin. */
  readonly signal: AbortSignal;
}

const BEATS_PER_TTL = 4;

/**
 * Begins a session and renews it every quarter of `ttlMs`. It ends when a renewal is refused, or when `ttlMs` have gone
 * by since the last renewal that was answered was sent: nobody can have watched it unchanged for that long before.
 * @throws LogUnavailable when it did not come about: begin another; OutcomeUnknown once the signal has fired
 */
export async function beginSession(deps: SessionDeps): Promise<Session> {
  const { bucket, board, runtime, ttlMs, signal } = deps;
  const id = `${deps.instance}-${runtime.id()}`.replaceAll(/[^-_a-zA-Z0-9]/g, '-').slice(-100);
  const key = SESSION + id;
  const ending = new AbortController();
  // Every group of every consumer listens.
  setMaxListeners(0, ending.signal);
  let validUntil = 0;
  let revision = 0;
  let beat = 0;

  const alive = (): boolean => !ending.signal.aborted && runtime.now() < validUntil;
  const renew = async (until: AbortSignal): Promise<boolean> => {
    const { instance, consumers } = deps;
    const value = toBytes({ instance, consumers: consumers(), beat: ++beat } satisfies SessionValue);
    const sentAt = runtime.now();
    const row = { key, value, expectedRevision: revision, position: 0 };
    const result = await writeRow({ runtime, signal: until }, bucket, row);
    if (!result.written) return false;
    revision = result.revision;
    validUntil = sentAt + ttlMs;
    board.apply({ key, value, revision });
    return true;
  };
  const keep = async (): Promise<void> => {
    while (alive()) {
      await pause(runtime, ttlMs / BEATS_PER_TTL, ending.signal);
      if (!alive()) break;
      const renewed = await renew(ending.signal).catch(() => false);
      if (!renewed) break;
      await buryTheDead({ bucket, board, runtime, ttlMs, own: id });
    }
    ending.abort();
  };
  /** A renewal that hangs must not keep a right that has run out. */
  const watchOver = async (): Promise<void> => {
    while (alive()) await pause(runtime, validUntil - runtime.now(), ending.signal);
    ending.abort();
  };

  while (!alive()) {
    // So slow that others have removed it before it began.
    if (!(await renew(signal))) throw new LogUnavailable(`the session ${id} was removed`);
  }
  void keep();
  void watchOver();
  return {
    id,
    alive,
    ended: ending.signal,
    end: async () => {
      ending.abort();
      await remove(bucket, board, key, board.sessions.get(id)?.revision ?? revision);
    },
  };
}

/** Removes every session that did not change for a whole `ttlMs` by this process's clock, unless it did meanwhile. */
async function buryTheDead(deps: {
  bucket: Bucket;
  board: Board;
  runtime: Runtime;
  ttlMs: number;
  own: string;
}): Promise<void> {
  const { bucket, board, runtime, ttlMs, own } = deps;
  for (const [id, { revision, changedAt }] of board.sessions) {
    if (id === own || runtime.now() - changedAt < ttlMs) continue;
    await remove(bucket, board, SESSION + id, revision);
  }
}

async function remove(bucket: Bucket, board: Board, key: string, expectedRevision: number): Promise<void> {
  try {
    const result = await bucket.write({ key, value: undefined, expectedRevision, position: 0 });
    if (result.written) board.apply({ key, value: new Uint8Array(), revision: result.revision });
    else {
      const row = await bucket.get(key, { leader: true });
      if (row !== undefined) board.apply(row);
    }
  } catch {
    // Tried again with the next renewal; the session's own end does not need it.
  }
}
