import {
  DiscardPolicy,
  type JetStreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { addStream } from './add-stream.ts';
import { isStreamMissing } from './log-stream.ts';
import { bucketStream } from './nats-bucket.ts';

/** How a bucket is kept; see section 4 of the architecture page for what each costs. */
export interface BucketKind {
  readonly replicas: number;
  /** `async`: rows are written back later and a suffix of them may be lost with the server (single server only). */
  readonly persist: 'sync' | 'async';
  readonly storage: 'file' | 'memory';
  /** A cache: the oldest values go when it has this many bytes. Without it nothing is ever dropped. */
  readonly maxBytes?: number;
}

/** The stream configuration of a bucket: one value per key, as every KV client expects. */
export function bucketConfig(name: string, kind: BucketKind): Partial<StreamConfig> & { name: string } {
  const async = kind.persist === 'async' && kind.storage === 'file' && kind.replicas === 1;
  return {
    name: bucketStream(name),
    subjects: [`$KV.${name}.>`],
    storage: kind.storage === 'memory' ? StorageType.Memory : StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: kind.maxBytes === undefined ? DiscardPolicy.New : DiscardPolicy.Old,
    max_bytes: kind.maxBytes ?? -1,
    compression: StoreCompression.None,
    num_replicas: kind.replicas,
    max_msgs_per_subject: 1,
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    deny_purge: false,
    ...(async ? { persist_mode: PersistMode.Async } : { allow_atomic: true }),
  };
}

/** Creates a bucket unless it is there; an existing one is left as it is. */
export async function ensureBucket(
  jsm: JetStreamManager,
  name: string,
  kind: BucketKind,
): Promise<StreamConfig> {
  const wanted = bucketConfig(name, kind);
  try {
    return (await jsm.streams.info(wanted.name)).config;
  } catch (error) {
    if (!isStreamMissing(error)) throw error;
    return addStream(jsm, wanted);
  }
}
