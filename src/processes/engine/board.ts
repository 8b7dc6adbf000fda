import type { Bucket, Row } from '../../eventstore/bucket.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import { follow } from './follow.ts';
import { parseRow } from './rows.ts';

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

/** Whether a consumer is paused, and by whom. */
export interface ControlValue {
  readonly paused: boolean;
  readonly by: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

export const SESSION = 'session.';
export const LEASE = 'lease.';
export const CONTROL = 'control.';
export const GROUPS = 'groups.';

/** A lease as it was last seen; `session` is undefined when it is free. */
export interface SeenLease {
  readonly revision: number;
  readonly session: string | undefined;
}

/** What this process has seen of the shared bucket, which may be a little old. */
export interface Board {
  /** True once everything that was there at the start has been seen. */
  readonly ready: boolean;
  readonly sessions: ReadonlyMap<string, SeenSession>;
  lease(key: string): SeenLease | undefined;
  paused(consumer: string): boolean;
  /** Takes in a row that was read or written by this process. */
  apply(row: Pick<Row, 'key' | 'value' | 'revision'>): void;
}

/** Watches the shared bucket until the signal fires; `changed` is called after each change. */
export function watchBoard(
  { bucket, runtime, signal }: { bucket: Bucket; runtime: Runtime; signal: AbortSignal },
  changed: (key: string) => void,
): Board {
  const sessions = new Map<string, SeenSession>();
  const leases = new Map<string, SeenLease>();
  const controls = new Map<string, ControlValue>();
  const revisions = new Map<string, number>();
  let ready = false;

  const apply: Board['apply'] = (row) => {
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
