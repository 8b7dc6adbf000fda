import type { Bucket, Row, RowWrite, WriteResult } from '../../eventstore/bucket.ts';
import { type Persistence, persist } from './pause.ts';

/** A value as bytes of JSON. */
export function toBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** The JSON of a row; undefined for no row and for a removed one. */
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
