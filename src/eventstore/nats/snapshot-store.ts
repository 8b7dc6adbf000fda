import { setTimeout as after } from 'node:timers/promises';
import type { SnapshotStore } from '../snapshots.ts';
import { createGets } from './gets.ts';
import { bucketStream } from './nats-bucket.ts';
import type { Requests } from './requests.ts';

/**
 * Snapshots in a bucket; reads may come from any replica, since an old snapshot costs time and never truth.
 * For the same reason writes ask for no answer: that is two thirds of what a write costs both sides.
 */
export function createNatsSnapshotStore(options: {
  readonly requests: Requests;
  readonly bucket: string;
  /** How long one request may take, in milliseconds; a snapshot that takes longer is not worth waiting for. */
  readonly timeoutMs: number;
}): SnapshotStore {
  const { requests, bucket, timeoutMs } = options;
  const gets = createGets(requests, bucketStream(bucket), timeoutMs);
  const subjectOf = (key: string): string => `$KV.${bucket}.${key}`;
  return {
    get: async (key) => (await gets.direct({ last_by_subj: subjectOf(key) }))?.data,
    put: async (key, value) => {
      // Nothing is kept for a server that is away.
      if (requests.connected()) requests.connection.publish(subjectOf(key), value);
    },
    flush: async () => {
      if (requests.connected()) {
        await Promise.race([requests.connection.flush(), after(timeoutMs, undefined, { ref: false })]);
      }
    },
  };
}
