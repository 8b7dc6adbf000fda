import type { Bucket, Runtime } from '../../eventstore/index.ts';
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

/** An alias as it was read, with its fence. */
export interface LiveAlias {
  readonly alias: Alias;
  readonly revision: number;
}

/** The aliases of all views, in one small bucket. */
export interface Aliases {
  /** @throws LogUnavailable */
  read(view: string): Promise<LiveAlias | undefined>;
  /** Another text once any of them may have changed. @throws LogUnavailable */
  stamp(): Promise<string>;
  /** Points the view at a bucket, when nobody has done so since `revision` (0 = never); false otherwise. */
  point(view: string, alias: Alias, revision: number): Promise<boolean>;
}

/** Says which bucket of a view is the live one, and changes it by compare-and-set. @param prefix of bucket names */
export function createAliases(buckets: Buckets, prefix: string): Aliases {
  const name = `${prefix}_views`;
  let opened: Promise<Bucket | undefined> | undefined;

  const asked = async <T>(ask: (bucket: Bucket) => Promise<T>): Promise<T | undefined> => {
    const before = opened;
    try {
      const bucket = await before;
      if (bucket !== undefined) return await ask(bucket);
    } catch {
      // It may be gone, which only opening it anew shows.
    }
    if (opened === before) opened = buckets.open(name);
    const bucket = await opened;
    return bucket && ask(bucket);
  };

  return {
    stamp: async () => (await asked((bucket) => bucket.stamp())) ?? '',
    read: async (view) => {
      const row = await asked((bucket) => bucket.get(view, { leader: true }));
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

/** Aliases as a process follows them. */
export interface AliasWatch extends Aliases {
  /** Milliseconds until all who follow them look next: those who look together are answered by one request. */
  untilNextLook(): number;
}

/** An answer serves those who ask within this part of the time between two looks. */
const SHARED = 1 / 4;
/** A leader that is none any more may have shown an alias of before: it is believed for so many looks. */
const BELIEVED_LOOKS = 10;

/** Reads an alias again only once the bucket of all has changed. @param everyMs how often each of those who follow looks */
export function watchAliases(aliases: Aliases, runtime: Runtime, everyMs: number): AliasWatch {
  const since = runtime.now();
  const known = new Map<string, { readonly stamp: string; readonly at: number; readonly found: LiveAlias }>();
  let last: { readonly at: number; readonly stamp: Promise<string> } | undefined;
  const stamp = (): Promise<string> => {
    const now = runtime.now();
    if (last === undefined || now - last.at >= everyMs * SHARED) last = { at: now, stamp: aliases.stamp() };
    return last.stamp;
  };
  return {
    stamp,
    read: async (view) => {
      const before = await stamp();
      const now = runtime.now();
      const entry = known.get(view);
      if (entry?.stamp === before && now - entry.at < BELIEVED_LOOKS * everyMs) return entry.found;
      const found = await aliases.read(view);
      if (found !== undefined) known.set(view, { stamp: before, at: now, found });
      return found;
    },
    point: async (...args) => {
      try {
        return await aliases.point(...args);
      } finally {
        last = undefined;
      }
    },
    untilNextLook: () => (everyMs === 0 ? 0 : everyMs - ((runtime.now() - since) % everyMs)),
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
  /** Whether the view is read from another bucket by now. @throws LogUnavailable */
  hasMoved(view: string, from: LiveBucket): Promise<boolean>;
  /** See `AliasWatch`. */
  untilNextLook(): number;
}

export function createBucketResolver(deps: {
  buckets: Buckets;
  aliases: AliasWatch;
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
    hasMoved: async (view, { bucket }) => {
      const found = await aliases.read(view);
      return found !== undefined && found.alias.bucket !== bucket.name;
    },
    untilNextLook: aliases.untilNextLook,
  };
}
