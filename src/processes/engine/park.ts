import type { Bucket, RowWrite } from '../../eventstore/bucket.ts';
import { OutcomeUnknown } from '../../eventstore/errors.ts';
import type { Runtime } from '../../eventstore/runtime.ts';
import { NoBatches, OwnershipLost } from './errors.ts';
import type { ParkedIndex } from './parked-index.ts';
import { type Persistence, persist } from './pause.ts';
import { parseRow, toBytes, writeRow } from './rows.ts';
import { checkAlive, type Session } from './session.ts';

/** A change of a parked entry or its audit row. */
export type ParkWrite = Omit<RowWrite, 'position'>;

/** Writes a group's parked entries, each time together with the group's fence. */
export interface Park {
  /** The revision that must have been seen before the group's parked entries are known. */
  readonly revision: number;
  /**
   * All or none of the writes. False when one of the entries is not as expected.
   * @throws OwnershipLost when the group is another's; LogUnavailable, OutcomeUnknown once the signal has fired
   */
  write(rows: readonly ParkWrite[]): Promise<boolean>;
}

interface ParkDeps {
  readonly bucket: Bucket;
  readonly index: ParkedIndex;
  readonly runtime: Runtime;
  /** The key of the group's fence. */
  readonly fence: string;
  readonly session: Session;
  /** Fires when the group is to be left. */
  readonly signal: AbortSignal;
}

/**
 * Makes the group's fence the session's own: whatever an earlier owner still sends is refused from now on.
 * @throws NoBatches; OwnershipLost; LogUnavailable, OutcomeUnknown once the signal has fired
 */
export async function claimPark(deps: ParkDeps): Promise<Park> {
  const { bucket, runtime, fence, session, signal } = deps;
  if (bucket.writeAll === undefined) throw new NoBatches(bucket.name);
  // Unique per takeover, so that an unanswered write of an earlier one of the same session is never taken for its own.
  const tenure = `${session.id}/${runtime.id()}`;
  for (let claim = 1; ; claim++) {
    const row = await persist({ runtime, signal }, () => bucket.get(fence, { leader: true }));
    checkAlive(session, fence);
    const value = toBytes({ owner: `${tenure}/claim-${claim}` });
    const write = { key: fence, value, expectedRevision: row?.revision ?? 0, position: 0 };
    const result = await writeRow({ runtime, signal }, bucket, write);
    if (result.written) return fencedPark(deps, bucket.writeAll, tenure, result.revision);
  }
}

function fencedPark(
  deps: ParkDeps,
  writeAll: NonNullable<Bucket['writeAll']>,
  tenure: string,
  claimed: number,
): Park {
  const { bucket, index, runtime, fence, signal } = deps;
  const how: Persistence = { runtime, signal };
  let expectedRevision = claimed;
  let writes = 0;
  let last: Promise<unknown> = Promise.resolve();

  /** The revision of the fence when it holds `owner`; undefined when it is as it was before. */
  const stored = async (owner: string): Promise<number | undefined> => {
    const row = await bucket.get(fence, { leader: true });
    if (parseRow<{ owner?: string }>(row)?.owner === owner) return row?.revision;
    if (row?.revision !== expectedRevision) throw new OwnershipLost(`The park of ${fence}`);
    return undefined;
  };

  const write = async (rows: readonly ParkWrite[]): Promise<boolean> => {
    const owner = `${tenure}/${++writes}`;
    const batch = [{ key: fence, value: toBytes({ owner }), expectedRevision }, ...rows];
    const written = await persist(how, async () => {
      try {
        await writeAll(batch.map((row) => ({ ...row, position: 0 })));
      } catch (error) {
        const revision = await stored(owner);
        // Unknown and not there: the same batch is sent again, and only one copy can be stored.
        if (revision === undefined) throw error;
        return revision;
      }
      return stored(owner);
    });
    if (written === undefined) return false;
    expectedRevision = written;
    // The messages of a batch have consecutive sequences, the fence's first.
    for (const [at, { key, value }] of rows.entries()) {
      index.apply({ key, value: value ?? new Uint8Array(), revision: written + 1 + at });
    }
    return true;
  };

  return {
    get revision() {
      return expectedRevision;
    },
    write: (rows) => {
      const result = last.then(() => {
        if (signal.aborted) throw new OutcomeUnknown(fence, 0);
        return write(rows);
      });
      last = result.catch(() => undefined);
      return result;
    },
  };
}
