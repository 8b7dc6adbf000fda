import { type JetStreamManager, jetstreamManager, PersistMode, type StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { addStream } from '../eventstore/nats/add-stream.ts';
import { type BucketKind, bucketConfig } from '../eventstore/nats/bucket-stream.ts';
import { isStreamMissing } from '../eventstore/nats/log-stream.ts';
import { bucketStream } from '../eventstore/nats/nats-bucket.ts';
import { describeChanges, type TopologyStep } from './topology-changes.ts';

/** A bucket that the service uses. */
export interface PlannedBucket {
  readonly name: string;
  /** What it holds and how long, for people. */
  readonly what: string;
  readonly kind: BucketKind;
  /** How to get rid of a bucket that cannot be changed; only for what can be folded from the log again. */
  readonly renew?: string;
}

/** What `applyBuckets` would do to each bucket, in their order. */
export async function planBuckets(
  connection: NatsConnection,
  buckets: readonly PlannedBucket[],
): Promise<readonly TopologyStep[]> {
  if (buckets.length === 0) return [];
  const jsm = await jetstreamManager(connection, { checkAPI: false });
  return Promise.all(buckets.map(async (bucket) => planBucket(bucket, await readBucket(jsm, bucket.name))));
}

/** Makes what is missing and brings replicas to the configuration; never removes anything. */
export async function applyBuckets(
  jsm: JetStreamManager,
  buckets: readonly PlannedBucket[],
  steps: readonly TopologyStep[],
): Promise<void> {
  for (const [index, { name, kind }] of buckets.entries()) {
    const { action } = steps[index] ?? {};
    if (action === 'create') await addStream(jsm, bucketConfig(name, kind));
    if (action === 'update') await jsm.streams.update(bucketStream(name), { num_replicas: kind.replicas });
  }
}

async function readBucket(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(bucketStream(name))).config;
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

function planBucket({ name, what: held, kind, renew }: PlannedBucket, existing?: StreamConfig): TopologyStep {
  const what = `bucket ${name}`;
  if (existing === undefined)
    return { what, action: 'create', detail: `${held}, ${kind.replicas} replica(s)` };
  if (existing.num_replicas === kind.replicas) return { what, action: 'none', detail: held };
  const changes = [{ field: 'num_replicas', current: existing.num_replicas, wanted: kind.replicas }];
  const detail = describeChanges(changes);
  if (kind.replicas > 1 && existing.persist_mode === PersistMode.Async) {
    const why = 'its persist_mode async exists on a single server only';
    return { what, action: 'refuse', detail: `${detail}: ${why}; ${renew ?? 'remove it'}`, changes };
  }
  return { what, action: 'update', detail, changes };
}
