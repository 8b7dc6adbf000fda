import type { Bucket, Row, Runtime } from '../../eventstore/index.ts';
import { readCheckpoint } from './checkpoint.ts';
import { bucketGone, ViewLost } from './errors.ts';
import type { GroupCount } from './groups.ts';
import type { ProjectionSettings } from './settings.ts';

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

/** Which bucket holds the live rows of a view. */
export interface Alias {
  readonly bucket: string;
  /** Of the projection that fills it. */
  readonly version: string;
  /** Into how many groups its rows are shared out; each has a checkpoint. Absent = 1. */
  readonly groups?: GroupCount;
  /** When it was pointed there, in milliseconds since the Unix epoch; absent where an earlier version did it. */
  readonly at?: number;
}

/** The bucket that a view is read from. */
export interface LiveBucket {
  readonly bucket: Bucket;
  readonly groups: GroupCount;
}

/** The aliases of all views, in one small bucket. */
export interface Aliases {
  /** @throws LogUnavailable */
  read(view: string): Promise<{ alias: Alias; revision: number } | undefined>;
  /** Points the view at a bucket, when nobody has done so since `revision` (0 = never); false otherwise. */
  point(view: string, alias: Alias, revision: number): Promise<boolean>;
}

/** Says which bucket of a view is the live one, and changes it by compare-and-set. @param prefix of bucket names */
export function createAliases(buckets: Buckets, prefix: string): Aliases {
  const name = `${prefix}_views`;
  let opened: Promise<Bucket | undefined> | undefined;

  const rowOf = async (view: string): Promise<Row | undefined> => {
    const before = opened;
    try {
      const bucket = await before;
      if (bucket !== undefined) return await bucket.get(view, { leader: true });
    } catch {
      // It may be gone, which only opening it anew shows.
    }
    if (opened === before) opened = buckets.open(name);
    return (await opened)?.get(view, { leader: true });
  };

  return {
    read: async (view) => {
      const row = await rowOf(view);
      if (row === undefined || row.value.length === 0) return undefined;
      const alias = JSON.parse(Buffer.from(row.value).toString('utf8')) as Alias;
      return { alias, revision: row.revision };
    },
    point: async (view, alias, revision) => {
      const bucket = await buckets.create(name, { durable: true });
      const value = Buffer.from(JSON.stringify(alias));
      return (await bucket.write({ key: view, value, expectedRevision: revision })).written;
    },
  };
}

const NUMBER = /_v(\d+)$/;

/** The name of the n-th bucket of a view. */
export function bucketName(prefix: string, view: string, n: number): string {
  return `${prefix}_${view}_v${n}`;
}

/** Which bucket of its view a name stands for; 0 for a name of another form. */
export function bucketNumber(name: string): number {
  return Number(NUMBER.exec(name)?.[1] ?? 0);
}

/** The buckets of one view, oldest first. */
export async function bucketsOf(
  buckets: Buckets,
  prefix: string,
  view: string,
): Promise<{ name: string; n: number }[]> {
  const start = `${prefix}_${view}_v`;
  return (await buckets.list(start))
    .filter((name) => NUMBER.exec(name)?.index === start.length - 2)
    .map((name) => ({ name, n: bucketNumber(name) }))
    .sort((a, b) => a.n - b.n);
}

/** Finds the live bucket of a view, looking again at most every `resolveMs`. */
export interface BucketResolver {
  /** Undefined while the view has none. @throws LogUnavailable; ViewLost when it is gone or of another incarnation */
  current(view: string): Promise<LiveBucket | undefined>;
}

export function createBucketResolver(deps: {
  buckets: Buckets;
  aliases: Aliases;
  runtime: Runtime;
  settings: Pick<ProjectionSettings, 'resolveMs' | 'rebuildHint'>;
  /** Of the log; what was folded from another one is not shown (protocol 15). */
  incarnation: string;
}): BucketResolver {
  const { buckets, aliases, runtime, incarnation } = deps;
  const { resolveMs, rebuildHint } = deps.settings;
  const known = new Map<string, { live: LiveBucket | undefined; until: number }>();
  const open = async (
    view: string,
    { bucket: name, groups = 1 }: Alias,
    last: LiveBucket | undefined,
  ): Promise<LiveBucket> => {
    const bucket = await buckets.open(name);
    if (bucket === undefined) throw bucketGone(view, name);
    if (last?.bucket.name === name) return last;
    const checkpoint = await readCheckpoint(bucket, { count: groups, index: 0 });
    if (checkpoint !== undefined && checkpoint.value.incarnation !== incarnation) {
      const why = `its bucket ${name} was filled from another incarnation of the log`;
      throw new ViewLost(view, why, rebuildHint?.(view));
    }
    return { bucket, groups };
  };
  const looks = new Map<string, Promise<LiveBucket | undefined>>();
  const look = async (view: string, last: LiveBucket | undefined): Promise<LiveBucket | undefined> => {
    try {
      const found = await aliases.read(view);
      // No alias is ever taken back: one that was deleted is made anew by those who keep the view.
      const live = found === undefined ? last : await open(view, found.alias, last);
      known.set(view, { live, until: runtime.now() + resolveMs });
      return live;
    } finally {
      looks.delete(view);
    }
  };
  return {
    current: async (view) => {
      const last = known.get(view);
      if (last?.live !== undefined && runtime.now() < last.until) return last.live;
      // Those who come while it is looked up wait for the same look.
      const under = looks.get(view) ?? look(view, last?.live);
      looks.set(view, under);
      return under;
    },
  };
}
