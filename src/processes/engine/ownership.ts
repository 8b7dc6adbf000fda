import { setMaxListeners } from 'node:events';
import {
  type Bucket,
  LogUnavailable,
  type Row,
  type Runtime,
  type SlotGroup,
} from '../../eventstore/index.ts';

import { GroupsDiffer, OwnershipLost } from './errors.ts';
import { parseRow, toBytes, writeRow } from './rows.ts';
import { follow, pause } from './signal.ts';

/** An instance that is alive, as the shared bucket says. */
export interface SessionValue {
  readonly instance: string;
  /** The consumers that it runs. */
  readonly consumers: readonly string[];
  /** Grows with every renewal. */
  readonly beat: number;
}

export interface SeenSession extends SessionValue {
  readonly revision: number;
  /** When this process last saw it change, by its own clock. */
  readonly changedAt: number;
}

/** Whether a consumer is paused, and by whom. @internal */
export interface ControlValue {
  readonly paused: boolean;
  readonly by: string;
  /** Why; absent where nobody said. */
  readonly reason?: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** What the keys of the shared bucket begin with: an instance that lives. @internal */
export const SESSION = 'session.';
/** Which instance owns a group. @internal */
export const LEASE = 'lease.';
/** Whether a consumer is paused. @internal */
export const CONTROL = 'control.';
/** Into how many groups a consumer is shared, for ever. @internal */
export const GROUPS = 'groups.';

/** A lease as it was last seen; `session` is undefined when it is free. */
export interface SeenLease {
  readonly revision: number;
  readonly session: string | undefined;
}

/** What this process has seen of the shared bucket, which may be a little old. */
export interface Membership {
  /** True once everything that was there at the start has been seen. */
  readonly ready: boolean;
  readonly sessions: ReadonlyMap<string, SeenSession>;
  lease(key: string): SeenLease | undefined;
  paused(consumer: string): boolean;
  /** Takes in a row that was read or written by this process. */
  apply(row: Pick<Row, 'key' | 'value' | 'revision'>): void;
}

/** Watches the shared bucket until the signal fires; `changed` is called after each change. */
export function watchMembership(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  changed: (key: string) => void,
): Membership {
  const sessions = new Map<string, SeenSession>();
  const leases = new Map<string, SeenLease>();
  const controls = new Map<string, ControlValue>();
  const revisions = new Map<string, number>();
  let ready = false;

  const apply: Membership['apply'] = (row) => {
    const { key, revision } = row;
    if ((revisions.get(key) ?? 0) >= revision) return;
    revisions.set(key, revision);
    if (key.startsWith(SESSION)) applySession(key.slice(SESSION.length), row as Row);
    else if (key.startsWith(LEASE)) {
      leases.set(key, { revision, session: parseRow<{ session: string }>(row as Row)?.session });
    } else if (key.startsWith(CONTROL)) {
      const value = parseRow<ControlValue>(row as Row);
      if (value === undefined) controls.delete(key.slice(CONTROL.length));
      else controls.set(key.slice(CONTROL.length), value);
    }
    changed(key);
  };
  const applySession = (id: string, row: Row): void => {
    const value = parseRow<SessionValue>(row);
    // One that has ended never comes back: its id is not used again.
    if (value === undefined) sessions.delete(id);
    else sessions.set(id, { ...value, revision: row.revision, changedAt: runtime.now() });
  };

  void follow({ bucket, runtime, signal }, apply, () => {
    ready = true;
    changed('');
  });
  return {
    get ready() {
      return ready;
    },
    sessions,
    lease: (key) => leases.get(key),
    paused: (consumer) => controls.get(consumer)?.paused === true,
    apply,
  };
}

/** What shows that this process lives, and under which it holds its leases. */
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
  readonly membership: Membership;
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
  const { bucket, membership, runtime, ttlMs, signal } = deps;
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
    const row = { key, value, expectedRevision: revision };
    const result = await writeRow({ runtime, signal: until }, bucket, row);
    if (!result.written) return false;
    revision = result.revision;
    validUntil = sentAt + ttlMs;
    membership.apply({ key, value, revision });
    return true;
  };
  const keep = async (): Promise<void> => {
    while (alive()) {
      await pause(runtime, ttlMs / BEATS_PER_TTL, ending.signal);
      if (!alive()) break;
      const renewed = await renew(ending.signal).catch(() => false);
      if (!renewed) break;
      await endDeadSessions({ bucket, membership, runtime, ttlMs, own: id });
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
      await remove(bucket, membership, key, membership.sessions.get(id)?.revision ?? revision);
    },
  };
}

/** Removes every session that did not change for a whole `ttlMs` by this process's clock, unless it did meanwhile. */
async function endDeadSessions(deps: {
  bucket: Bucket;
  membership: Membership;
  runtime: Runtime;
  ttlMs: number;
  own: string;
}): Promise<void> {
  const { bucket, membership, runtime, ttlMs, own } = deps;
  for (const [id, { revision, changedAt }] of membership.sessions) {
    if (id === own || runtime.now() - changedAt < ttlMs) continue;
    await remove(bucket, membership, SESSION + id, revision);
  }
}

async function remove(
  bucket: Bucket,
  membership: Membership,
  key: string,
  expectedRevision: number,
): Promise<void> {
  try {
    const result = await bucket.write({ key, value: undefined, expectedRevision });
    if (result.written) membership.apply({ key, value: new Uint8Array(), revision: result.revision });
    else {
      const row = await bucket.get(key, { leader: true });
      if (row !== undefined) membership.apply(row);
    }
  } catch {
    // Tried again with the next renewal; the session's own end does not need it.
  }
}

interface LeaseDeps {
  readonly bucket: Bucket;
  readonly membership: Membership;
  readonly runtime: Runtime;
}

/** How long the one who gives a group back waits for the answer, in milliseconds. */
const GIVE_BACK_MS = 1_000;

/** A group's key in every bucket of the engine. @internal */
export function groupKey(consumer: string, group: SlotGroup): string {
  return `${consumer}.${group.count}.${group.index}`;
}

/**
 * Takes a group's lease for a session that does not work on it: when nobody has it, when the session that has it is
 * gone, or when it is this very session's, which is still giving it back. Returns what gives it back, or undefined when
 * another holds it. The lease holds for as long as the session does.
 * @throws LogUnavailable, OutcomeUnknown when the session has ended
 */
export async function takeLease(
  { bucket, membership, runtime }: LeaseDeps,
  session: Session,
  consumer: string,
  group: SlotGroup,
): Promise<{ release(): Promise<void> } | undefined> {
  const key = LEASE + groupKey(consumer, group);
  const seen = membership.lease(key);
  const holder = seen?.session;
  if (holder !== undefined && holder !== session.id && (await isAlive(bucket, membership, holder)))
    return undefined;
  const value = toBytes({ session: session.id, take: runtime.id() });
  const row = { key, value, expectedRevision: seen?.revision ?? 0 };
  const result = await writeRow({ runtime, signal: session.ended }, bucket, row);
  if (!result.written) {
    const found = await bucket.get(key, { leader: true });
    if (found !== undefined) membership.apply(found);
    return undefined;
  }
  membership.apply({ key, value, revision: result.revision });
  const { revision } = result;
  return {
    release: async () => {
      const row = { key, value: undefined, expectedRevision: revision };
      const giving = writeRow({ runtime, signal: session.ended }, bucket, row).then(
        (given) =>
          given.written && membership.apply({ key, value: new Uint8Array(), revision: given.revision }),
        () => undefined,
      );
      // While the server is away it goes on meanwhile, until the session ends: a lease that stayed would bar the group.
      await Promise.race([giving, pause(runtime, GIVE_BACK_MS, session.ended)]);
    },
  };
}

/** A session that is not in the membership may only not have been seen yet: the leader knows. */
async function isAlive(bucket: Bucket, membership: Membership, session: string): Promise<boolean> {
  if (membership.sessions.has(session)) return true;
  const row = await bucket.get(SESSION + session, { leader: true });
  return row !== undefined && row.value.length > 0;
}

/**
 * Stores into how many groups a consumer is shared, or compares it with what is stored.
 * @throws GroupsDiffer; LogUnavailable, OutcomeUnknown once the signal has fired
 */
export async function agreeOnGroups(
  { bucket, runtime }: LeaseDeps,
  consumer: string,
  count: SlotGroup['count'],
  signal: AbortSignal,
): Promise<void> {
  const key = GROUPS + consumer;
  const row = { key, value: toBytes({ count }), expectedRevision: 0 };
  const result = await writeRow({ runtime, signal }, bucket, row);
  if (result.written) return;
  const stored = parseRow<{ count: number }>(await bucket.get(key, { leader: true }))?.count;
  if (stored !== undefined && stored !== count) throw new GroupsDiffer(consumer, stored, count);
}

/**
 * How many groups of a consumer an instance should own: as many as the others, the rest to the first ones in an order
 * that differs from consumer to consumer, so that consumers of one group do not all run on one instance.
 * @param members the sessions that run the consumer, `own` among them
 */
export function shareOf(consumer: string, count: number, members: Iterable<string>, own: string): number {
  const sorted = [...new Set([...members, own])].sort();
  const turn = [...consumer].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_521, 0);
  const rank = (sorted.indexOf(own) + turn) % sorted.length;
  return Math.floor(count / sorted.length) + (rank < count % sorted.length ? 1 : 0);
}
