import {
  DiscardPolicy,
  type JetStreamManager,
  PersistMode,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import type { Bucket } from '../bucket.ts';
import { LogUnavailable } from '../errors.ts';
import type { Runtime } from '../runtime.ts';
import { denialIn } from './connection-watch.ts';
import { addStream, isStreamMissing } from './log-stream.ts';
import { bucketStream, createNatsBucket } from './nats-bucket.ts';
import { managerOf, type Requests } from './requests.ts';

/** How a bucket is kept; see section 4 of the architecture page for what each costs. */
export interface BucketKind {
  readonly replicas: number;
  /** `async`: rows are written back later and a suffix of them may be lost with the server (single server only). */
  readonly persist: 'sync' | 'async';
  readonly storage: 'file' | 'memory';
  /**
   * What is kept of a key: its last value, unless given; the first one, and no other is taken, for a ledger that only
   * grows; or the last two, so that a former one can be overwritten in the store's files.
   */
  readonly keeps?: 'first' | 'erasable';
}

/** The stream configuration of a bucket, as every KV client expects it. */
export function bucketConfig(name: string, kind: BucketKind): Partial<StreamConfig> & { name: string } {
  const async = kind.persist === 'async' && kind.storage === 'file' && kind.replicas === 1;
  return {
    name: bucketStream(name),
    subjects: [`$KV.${name}.>`],
    storage: kind.storage === 'memory' ? StorageType.Memory : StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    // A limit above 32 MB would mean blocks of 8 MB instead of 4: docs/adr/0024.
    max_bytes: -1,
    compression: StoreCompression.None,
    num_replicas: kind.replicas,
    max_msgs_per_subject: kind.keeps === 'erasable' ? 2 : 1,
    discard_new_per_subject: kind.keeps === 'first',
    allow_direct: true,
    allow_rollup_hdrs: kind.keeps === undefined,
    deny_delete: kind.keeps !== 'erasable',
    deny_purge: kind.keeps !== undefined,
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

export interface NatsBucketsOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly replicas: number;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** For whoever writes rows and relies on what was acknowledged; see `NatsBucketOptions.announceLosses`. */
  readonly announceLosses: boolean;
}

const NAME = /^KV_(.+)$/;

/** The buckets of a server: made, found and dropped by name. Fits the port of the projections. */
export function createNatsBuckets(options: NatsBucketsOptions) {
  const { requests, runtime, replicas, timeoutMs, announceLosses } = options;
  let manager: Promise<JetStreamManager> | undefined;

  const asked = async <T>(what: string, call: (jsm: JetStreamManager) => Promise<T>): Promise<T> => {
    // The client would hold the request back until it is connected again, or time out.
    if (!requests.connected()) throw new LogUnavailable(`${what}: not connected`);
    try {
      manager ??= managerOf(requests, timeoutMs);
      return await call(await manager);
    } catch (cause) {
      if (isStreamMissing(cause)) throw cause;
      throw denialIn(cause, requests.user) ?? new LogUnavailable(what, cause);
    }
  };
  const bucketOf = (name: string, config: StreamConfig): Bucket =>
    createNatsBucket({
      requests,
      runtime,
      name,
      timeoutMs,
      batches: config.allow_atomic === true && config.persist_mode !== PersistMode.Async,
      announceLosses: announceLosses && config.persist_mode === PersistMode.Async,
    });

  return {
    open: async (name: string): Promise<Bucket | undefined> => {
      try {
        const info = await asked(`opening the bucket ${name}`, (jsm) => jsm.streams.info(bucketStream(name)));
        return bucketOf(name, info.config);
      } catch (error) {
        if (isStreamMissing(error)) return undefined;
        throw error;
      }
    },
    create: async (name: string, traits: { readonly durable: boolean }): Promise<Bucket> => {
      const kind: BucketKind = { replicas, storage: 'file', persist: traits.durable ? 'sync' : 'async' };
      return bucketOf(
        name,
        await asked(`creating the bucket ${name}`, (jsm) => ensureBucket(jsm, name, kind)),
      );
    },
    drop: async (name: string): Promise<void> => {
      try {
        await asked(`dropping the bucket ${name}`, (jsm) => jsm.streams.delete(bucketStream(name)));
      } catch (error) {
        if (!isStreamMissing(error)) throw error;
      }
    },
    list: (prefix: string): Promise<readonly string[]> =>
      asked('listing the buckets', async (jsm) => {
        const names: string[] = [];
        for await (const stream of jsm.streams.names('$KV.>')) {
          const name = NAME.exec(stream)?.[1];
          if (name?.startsWith(prefix)) names.push(name);
        }
        return names;
      }),
  };
}
