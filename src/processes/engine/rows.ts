import type { Bucket, Row, RowWrite, WriteResult } from '../../eventstore/index.ts';
import { type Persistence, persist } from './signal.ts';

/** A value as bytes of JSON. @internal */
export function toBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The JSON of a row; undefined for no row and for a removed one. @internal */
export function parseRow<T>(row: Row | undefined): T | undefined {
  if (row === undefined || row.value.length === 0) return undefined;
  return JSON.parse(Buffer.from(row.value).toString('utf8')) as T;
}

/** Whether a row holds just what was to be written; every value of the engine is unique, so it is that write. */
function writtenAt(row: Row | undefined, { value, expectedRevision }: RowWrite): WriteResult {
  const isIt =
    row !== undefined &&
    row.revision > expectedRevision &&
    Buffer.compare(row.value, value ?? new Uint8Array()) === 0;
  return isIt ? { written: true, revision: row.revision } : { written: false };
}

/**
 * One conditional write, repeated until its outcome is known or the signal fires. An answer that does not come is
 * resolved by asking the leader and sending the same write again: at most one copy can be stored.
 * @throws LogUnavailable, OutcomeUnknown once the signal has fired
 */
export function writeRow(how: Persistence, bucket: Bucket, row: RowWrite): Promise<WriteResult> {
  let sent = false;
  const look = async (): Promise<{ readonly found: Row | undefined; readonly result: WriteResult }> => {
    const found = await bucket.get(row.key, { leader: true });
    return { found, result: writtenAt(found, row) };
  };
  return persist(how, async () => {
    if (sent) {
      const { found, result } = await look();
      if (result.written || (found?.revision ?? 0) !== row.expectedRevision) return result;
    }
    const again = sent;
    sent = true;
    const result = await bucket.write(row);
    return result.written || !again ? result : (await look()).result;
  });
}

/** Where the engine's buckets come from. Names are letters, digits and `_`. */
export interface Buckets {
  /** The bucket, or undefined when there is none. @throws LogUnavailable */
  open(name: string): Promise<Bucket | undefined>;
  /** The bucket, made when there is none; `durable` = no acknowledged write is ever lost. @throws LogUnavailable */
  create(name: string, traits: { readonly durable: boolean }): Promise<Bucket>;
}

/** The three buckets of the engine; all durable, since each holds fences. */
export interface EngineBuckets {
  /** Sessions, leases, pauses: watched by every instance. */
  readonly shared: Bucket;
  /** Cursors: written often, watched by nobody. */
  readonly cursors: Bucket;
  /** Dead letters and their fences: watched by every instance. */
  readonly parked: Bucket;
}

/** The names of the buckets: `<prefix>_engine`, `<prefix>_cursors`, `<prefix>_parked`. */
export function bucketNames(prefix: string): Readonly<Record<keyof EngineBuckets, string>> {
  return { shared: `${prefix}_engine`, cursors: `${prefix}_cursors`, parked: `${prefix}_parked` };
}

/** The engine's buckets, made when there are none. @throws LogUnavailable */
export async function createEngineBuckets(buckets: Buckets, prefix: string): Promise<EngineBuckets> {
  const names = bucketNames(prefix);
  const durable = { durable: true };
  return {
    shared: await buckets.create(names.shared, durable),
    cursors: await buckets.create(names.cursors, durable),
    parked: await buckets.create(names.parked, durable),
  };
}
