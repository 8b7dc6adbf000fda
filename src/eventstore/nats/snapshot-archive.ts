import type { Runtime } from '../runtime.ts';
import type { SnapshotArchive } from '../snapshots/remake.ts';
import { createGets } from './gets.ts';
import { bucketStream, createNatsBucket } from './nats-bucket.ts';
import { managerOf, type Requests } from './requests.ts';

/** Snapshots may be half a megabyte each, and all of a batch are in memory at once. */
const BATCH = 64;

/** What lies in a bucket of snapshots. Needs no consumer; dropping needs the right to purge the bucket's stream. */
export function createNatsSnapshotArchive(options: {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly bucket: string;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
}): SnapshotArchive {
  const { requests, runtime, bucket: name, timeoutMs } = options;
  const stream = bucketStream(name);
  const prefix = `$KV.${name}.`;
  const gets = createGets(requests, stream, timeoutMs);
  const keyOf = ({ subject }: { readonly subject: string }): string => subject.slice(prefix.length);
  return {
    rows: createNatsBucket({ requests, runtime, name, timeoutMs, batches: false, announceLosses: false }),
    end: async () => (await (await managerOf(requests, timeoutMs)).streams.info(stream)).state.last_seq,
    keys: async (after, through) => {
      const found: { key: string; revision: number }[] = [];
      for (let last = after; last < through; ) {
        const batch = await gets.directBatch({ next_by_subj: `${prefix}>`, seq: last + 1, batch: BATCH });
        for (const message of batch)
          if (message.seq <= through) found.push({ key: keyOf(message), revision: message.seq });
        last = batch.at(-1)?.seq ?? through;
      }
      return found;
    },
    held: async (keys) => new Set((await gets.directLast(keys.map((key) => prefix + key))).map(keyOf)),
    drop: async (tokens) => {
      const jsm = await managerOf(requests, timeoutMs);
      await jsm.streams.purge(stream, { filter: `${prefix}${tokens}.>` });
    },
  };
}
