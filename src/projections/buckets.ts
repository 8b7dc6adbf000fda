import type { Bucket } from '../eventstore/bucket.ts';

export interface BucketTraits {
  /**
   * True when an acknowledged write must survive a crash of the server: rows that cross aggregates, aliases.
   * Rows of one aggregate are healed from the log, so their bucket may be a faster one. What such a bucket loses
   * is its newest writes, and only when its server dies, which every connection notices: so the first call on a
   * handle after its connection was lost must throw LogUnavailable, and calls under way then must throw. The view
   * starts again from its checkpoint. One runner alone would also notice it by the revisions; where two write,
   * the other's writes hide it.
   */
  readonly durable: boolean;
}

/** Where buckets come from. Names are letters, digits and `_`. */
export interface Buckets {
  /** The bucket, or undefined when there is none. @throws LogUnavailable */
  open(name: string): Promise<Bucket | undefined>;
  /** The bucket, made when there is none. @throws LogUnavailable */
  create(name: string, traits: BucketTraits): Promise<Bucket>;
  /** Deletes a bucket and all its rows; nothing when there is none. @throws LogUnavailable */
  drop(name: string): Promise<void>;
  /** The names of all buckets that begin with `prefix`. @throws LogUnavailable */
  list(prefix: string): Promise<readonly string[]>;
}
