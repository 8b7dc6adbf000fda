import { EventStoreError, LogUnavailable } from '../errors.ts';
import type { SnapshotStore } from '../snapshots.ts';
import { createGets } from './gets.ts';
import { bucketStream } from './nats-bucket.ts';
import type { Requests } from './requests.ts';
import { parseAck } from './wire.ts';

/** Snapshots in a bucket; reads may come from any replica, since an old snapshot costs time and never truth. */
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
      const reply = await requests.request(subjectOf(key), value, { timeoutMs });
      if (reply.failed !== undefined) throw new LogUnavailable(`writing a snapshot: ${reply.failed}`);
      const { error } = parseAck(reply.msg);
      if (error !== undefined)
        throw new EventStoreError('snapshot/refused', `The server refuses a snapshot: ${error.description}.`);
    },
  };
}
