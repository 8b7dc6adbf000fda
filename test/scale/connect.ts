import { jetstreamManager } from '@nats-io/jetstream';
import { foldVersionOf } from '../../src/eventstore/fold.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import type { SnapshotStore } from '../../src/eventstore/snapshots/stored.ts';
import { counter } from '../../src/testing/contracts/toy.ts';
import { type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';

/** Log and snapshots of one server, on a connection of their own. */
export interface Opened extends LogHandle {
  readonly store: SnapshotStore;
}

/** Where the handler keeps the snapshot of an aggregate. */
export const snapshotKeyOf = (id: string): string => `${counter.category}.${foldVersionOf(counter)}.${id}`;

const BUCKET = `${TEST_LOG.prefix}_snapshots`;
/** Patient, so that a slow answer is measured and not repeated; as a service where nothing is synced. */
const BOUNDS = { attemptTimeoutMs: 30_000, deadlineMs: 60_000, groupCommit: 'off' } as const;

/** Opens what `createLogStream` made; the bucket is made as the service makes it. */
export async function openAll(url: string): Promise<Opened> {
  const handle = await openTestLog(url, TEST_LOG, BOUNDS);
  const jsm = await jetstreamManager(handle.connection);
  await ensureBucket(jsm, BUCKET, { replicas: 1, storage: 'file', persist: 'async' });
  const { requests } = handle;
  const store = createNatsSnapshotStore({ requests, bucket: BUCKET, timeoutMs: BOUNDS.attemptTimeoutMs });
  return { ...handle, store };
}
