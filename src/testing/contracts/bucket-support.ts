import type { Bucket, Row, RowWrite } from '../../eventstore/bucket.ts';
import type { KeyBucket } from '../../eventstore/personal/key-bucket.ts';
import { numberOf, positionOf } from '../../eventstore/position.ts';

/** A fresh, empty bucket to test, and the way to open it as another process would. */
export interface BucketUnderTest<Kind extends Bucket = Bucket> {
  readonly bucket: Kind;
  openSecond(): Promise<Kind>;
  stop(): Promise<void>;
}

/** A fresh, empty bucket of keys, with the ledger of who was forgotten. */
export interface KeysUnderTest extends BucketUnderTest<KeyBucket> {
  readonly ledger: Bucket;
}

/** A value as text. */
export const text = (value: Uint8Array): string => new TextDecoder().decode(value);

export function row(
  key: string,
  value: string | undefined,
  expectedRevision: number,
  position: number,
): RowWrite {
  return {
    key,
    value: value === undefined ? undefined : new TextEncoder().encode(value),
    expectedRevision,
    position: positionOf(position),
  };
}

/** A row as a test looks at it. */
export function shown(
  r: Row | undefined,
): { key: string; text: string; revision: number; position: number } | undefined {
  return r && { key: r.key, text: text(r.value), revision: r.revision, position: numberOf(r.position) };
}

/** The revision of a write that must have gone through. */
export async function written(bucket: Bucket, write: RowWrite): Promise<number> {
  const result = await bucket.write(write);
  if (!result.written) throw new Error(`the write of ${write.key} should go through`);
  return result.revision;
}

export async function listed(bucket: Bucket, prefix?: string): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const r of bucket.rows(prefix === undefined ? {} : { prefix })) rows.push(r);
  return rows;
}
