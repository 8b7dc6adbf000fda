import type { Bucket } from '../../eventstore/bucket.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import type { SlotGroup } from '../../eventstore/stream.ts';
import { type Board, GROUPS, LEASE, SESSION } from './board.ts';
import { GroupsDiffer } from './errors.ts';
import { pause } from './pause.ts';
import { parseRow, toBytes, writeRow } from './rows.ts';
import type { Session } from './session.ts';

interface LeaseDeps {
  readonly bucket: Bucket;
  readonly board: Board;
  readonly runtime: Runtime;
}

/** How long the one who gives a group back waits for the answer, in milliseconds. */
const GIVE_BACK_MS = 1_000;

/** A group's key in every bucket of the engine. */
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
  { bucket, board, runtime }: LeaseDeps,
  session: Session,
  consumer: string,
  group: SlotGroup,
): Promise<{ release(): Promise<void> } | undefined> {
  const key = LEASE + groupKey(consumer, group);
  const seen = board.lease(key);
  const holder = seen?.session;
  if (holder !== undefined && holder !== session.id && (await isAlive(bucket, board, holder)))
    return undefined;
  const value = toBytes({ session: session.id, take: runtime.id() });
  const row = { key, value, expectedRevision: seen?.revision ?? 0, position: 0 };
  const result = await writeRow({ runtime, signal: session.ended }, bucket, row);
  if (!result.written) {
    const found = await bucket.get(key, { leader: true });
    if (found !== undefined) board.apply(found);
    return undefined;
  }
  board.apply({ key, value, revision: result.revision });
  const { revision } = result;
  return {
    release: async () => {
      const row = { key, value: undefined, expectedRevision: revision, position: 0 };
      const giving = writeRow({ runtime, signal: session.ended }, bucket, row).then(
        (given) => given.written && board.apply({ key, value: new Uint8Array(), revision: given.revision }),
        () => undefined,
      );
      // While the server is away it goes on beside, until the session ends: a lease that stayed would bar the group.
      await Promise.race([giving, pause(runtime, GIVE_BACK_MS, session.ended)]);
    },
  };
}

/** A session that is not on the board may only not have been seen yet: the leader knows. */
async function isAlive(bucket: Bucket, board: Board, session: string): Promise<boolean> {
  if (board.sessions.has(session)) return true;
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
  const row = { key, value: toBytes({ count }), expectedRevision: 0, position: 0 };
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
