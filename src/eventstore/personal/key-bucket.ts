import type { Bucket, Row, WriteResult } from '../bucket.ts';

/** A bucket whose former values can be destroyed. It keeps the last two of each key. */
export interface KeyBucket extends Bucket {
  /**
   * Overwrites what is stored of a key before a revision, in the files of every replica. May be repeated.
   * @throws LogUnavailable: some of it may be overwritten; EventStoreError `keys/not-erasable`
   */
  eraseBefore(key: string, revision: number): Promise<void>;
}

/**
 * Writes another value of a key, and nothing is left of those before. First what somebody else has left: a third value
 * would push it out of the bucket, and its bytes would stay.
 * @param row what is stored now
 */
export async function replaceKey(
  keys: KeyBucket,
  { key, revision }: Pick<Row, 'key' | 'revision'>,
  value: Uint8Array,
): Promise<WriteResult> {
  if (revision > 0) await keys.eraseBefore(key, revision);
  const result = await keys.write({ key, value, expectedRevision: revision });
  if (result.written) await keys.eraseBefore(key, result.revision);
  return result;
}
