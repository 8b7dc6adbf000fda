import { type BucketKind, keyBucket, personalKinds } from '../eventstore/index.ts';
import { bucketNames } from '../processes/engine/index.ts';
import { snapshotBucket } from './commands.ts';

/** A bucket that the kernel keeps. @internal */
export interface KernelBucket {
  readonly name: string;
  /** What it holds and how long, for people. */
  readonly what: string;
  readonly kind: BucketKind;
}

/** What decides which buckets the kernel keeps. */
export interface BucketSettings {
  readonly log: { readonly prefix: string; readonly replicas: number };
  readonly snapshots: { readonly enabled: boolean };
  readonly projections: { readonly shared: boolean };
  /** Whether keys of persons are kept. */
  readonly personal?: boolean;
}

const durable = (replicas: number): BucketKind => ({ replicas, persist: 'sync', storage: 'file' });

function personalBuckets({ prefix, replicas }: BucketSettings['log']): readonly KernelBucket[] {
  return personalKinds(prefix, replicas).map(([name, kind]) => {
    const what = name === keyBucket(prefix) ? 'keys of persons, wrapped' : 'who was forgotten';
    return { name, what: `${what}; kept for ever`, kind };
  });
}

/** The buckets of reactions, and those of snapshots and of keys of persons where they are on. @internal */
export function commandBuckets({ log, snapshots, personal }: BucketSettings): readonly KernelBucket[] {
  const names = bucketNames(log.prefix);
  const kind = durable(log.replicas);
  const cache = snapshotBucket(log.prefix);
  return [
    { name: names.shared, what: 'instances, leases and pauses; kept for ever', kind },
    { name: names.cursors, what: 'places of the consumers; kept for ever', kind },
    { name: names.parked, what: 'dead letters; kept until they are handled or discarded', kind },
    ...(personal ? personalBuckets(log) : []),
    ...(snapshots.enabled ? [{ ...cache, what: 'snapshots, a cache; its users drop the oldest' }] : []),
  ];
}

/** What the views need from their start; each version of a view makes the bucket of its rows by itself. @internal */
export function viewBuckets({ log, projections }: BucketSettings): readonly KernelBucket[] {
  const { prefix } = log;
  const kind = durable(log.replicas);
  const members = { name: `${prefix}_members`, what: 'instances that share views', kind };
  return [
    { name: `${prefix}_views`, what: 'which bucket of a view is live; kept for ever', kind },
    ...(projections.shared ? [members] : []),
  ];
}
