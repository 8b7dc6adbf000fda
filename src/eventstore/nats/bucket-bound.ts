import { bucketStream } from './nats-bucket.ts';
import { managerOf, type Requests } from './requests.ts';

/** Of the bound, how much is left after a trim: so that the next one is not due at once. */
const LEFT = 0.9;
/** Rows written often leave gaps among the oldest, so that one purge may remove less than it was meant to. */
const PURGES = 8;

/**
 * Removes the oldest rows of a bucket that is a cache, once it has more than `maxBytes`. A limit of the stream's own
 * would make the server keep the rows in blocks of 8 MB instead of 4, and each cold read costs one block (docs/adr/0024).
 * Several processes may do it at once.
 * @returns how many rows were removed @throws what the client throws when it is not answered
 */
export async function trimBucket(
  requests: Pick<Requests, 'connection' | 'apiPrefix'>,
  { bucket, maxBytes, timeoutMs }: { bucket: string; maxBytes: number; timeoutMs: number },
): Promise<number> {
  const { streams } = await managerOf(requests, timeoutMs);
  const name = bucketStream(bucket);
  let removed = 0;
  for (let purges = 0; purges < PURGES; purges++) {
    const { bytes, first_seq: first, last_seq: last } = (await streams.info(name)).state;
    if (bytes <= (purges === 0 ? maxBytes : maxBytes * LEFT)) break;
    const share = 1 - (maxBytes * LEFT) / bytes;
    removed += (await streams.purge(name, { seq: first + Math.ceil((last - first + 1) * share) })).purged;
  }
  return removed;
}
