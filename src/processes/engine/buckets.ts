import type { Bucket } from '../../eventstore/bucket.ts';

/** Where the engine's buckets come from. Names are letters, digits and `_`. */
export interface Buckets {
  /** The bucket, or undefined when there is none. @throws LogUnavailable */
  open(name: string): Promise<Bucket | undefined>;
  /** The bucket, made when there is none; `durable` = no acknowledged write is ever lost. @throws LogUnavailable */
  create(name: string, traits: { readonly durable: boolean }): Promise<Bucket>;
}

/** The three buckets of the engine; all durable, since each holds fences. */
export interface EngineBuckets {
  /** Sessions, leases, pauses: watched by every instance. */
  readonly shared: Bucket;
  /** Cursors: written often, watched by nobody. */
  readonly cursors: Bucket;
  /** Parked commits and their fences: watched by every instance. */
  readonly parked: Bucket;
}

/** The names of the buckets: `<prefix>_engine`, `<prefix>_cursors`, `<prefix>_parked`. */
export function bucketNames(prefix: string): Readonly<Record<keyof EngineBuckets, string>> {
  return { shared: `${prefix}_engine`, cursors: `${prefix}_cursors`, parked: `${prefix}_parked` };
}

/** The engine's buckets, made when there are none. @throws LogUnavailable */
export async function createEngineBuckets(buckets: Buckets, prefix: string): Promise<EngineBuckets> {
  const names = bucketNames(prefix);
  const durable = { durable: true };
  return {
    shared: await buckets.create(names.shared, durable),
    cursors: await buckets.create(names.cursors, durable),
    parked: await buckets.create(names.parked, durable),
  };
}
