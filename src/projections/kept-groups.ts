import type { Bucket } from '../eventstore/bucket.ts';
import { LogUnavailable } from '../eventstore/errors.ts';
import type { Buckets } from './buckets.ts';
import type { Waiting } from './checkpoint-pace.ts';
import { allGroups, type GroupCount, settingsOfGroup } from './groups.ts';
import { type KeptView, keepView } from './kept-view.ts';
import type { ParkedRow } from './marks.ts';
import type { Reader } from './reader.ts';
import type { ViewDeps } from './view.ts';

/** The groups of a view on one bucket that this process runs. */
export interface KeptGroups {
  /** Runs exactly these from now on; one that is given up stores what it took in first. */
  own(indices: ReadonlySet<number>): void;
  /** How many of how many it runs. */
  readonly owned: number;
  readonly count: GroupCount;
  /** The checkpoint of its group that is furthest behind; undefined while it runs none. */
  readonly position: number | undefined;
  /** Position that all its groups have taken in; undefined while one of them is not open. */
  readonly delivered: number | undefined;
  /** Events that its open groups have taken in. */
  readonly events: number;
  /** True when each of its groups is at work. */
  readonly running: boolean;
  readonly lastError: unknown;
  /** Resolves when one of them has stopped for good: with its error, or with undefined after `stop`. */
  readonly ended: Promise<unknown>;
  parked(): readonly ParkedRow[];
  /** Waits for a group's checkpoint; undefined when this process does not run that group now. */
  hurry(index: number, position: number): Waiting | undefined;
  /** Looks after the checkpoints and released rows of its groups. @throws LogUnavailable */
  verify(): Promise<void>;
  stop(): Promise<void>;
}

/** Keeps groups of a view; none until `own`. `deps.settings` are the whole view's. */
export function keepGroups(
  deps: Omit<ViewDeps, 'group' | 'bucket'> & {
    readonly buckets: Buckets;
    readonly bucket: string;
    readonly reader: Reader;
    readonly count: GroupCount;
  },
): KeptGroups {
  const { count, buckets, bucket: name } = deps;
  const settings = settingsOfGroup(deps.settings, count);
  const kept = new Map<number, KeptView>();
  const leaving = new Set<Promise<void>>();
  let stopped = false;
  let resolveEnded: (error: unknown) => void = () => undefined;
  const ended = new Promise<unknown>((resolve) => {
    resolveEnded = resolve;
  });

  const open = async (): Promise<Bucket> => {
    const bucket = await buckets.open(name);
    if (bucket === undefined) throw new LogUnavailable(`the bucket ${name} is not there`);
    return bucket;
  };

  const take = (index: number): void => {
    const view = keepView({ ...deps, settings, open, group: { count, index } });
    kept.set(index, view);
    void view.ended.then((error) => {
      if (error !== undefined) resolveEnded(error);
    });
  };

  const giveUp = (index: number, view: KeptView): void => {
    kept.delete(index);
    const done = view.stop().finally(() => leaving.delete(done));
    leaving.add(done);
  };

  const lowest = (positionOf: (view: KeptView) => number | undefined): number | undefined => {
    let low = Number.POSITIVE_INFINITY;
    for (const view of kept.values()) low = Math.min(low, positionOf(view) ?? Number.NEGATIVE_INFINITY);
    return Number.isFinite(low) ? low : undefined;
  };

  return {
    count,
    ended,
    own: (indices) => {
      if (stopped) return;
      for (const [index, view] of kept) if (!indices.has(index)) giveUp(index, view);
      for (const index of indices) if (!kept.has(index)) take(index);
    },
    get owned() {
      return kept.size;
    },
    get position() {
      return lowest((view) => view.position);
    },
    get delivered() {
      return lowest((view) => view.view?.delivered);
    },
    get events() {
      return [...kept.values()].reduce((sum, { view }) => sum + (view?.events ?? 0), 0);
    },
    get running() {
      return [...kept.values()].every(({ view }) => view !== undefined);
    },
    get lastError() {
      for (const { lastError } of kept.values()) if (lastError !== undefined) return lastError;
      return undefined;
    },
    parked: () => [...kept.values()].flatMap(({ view }) => view?.parked() ?? []),
    hurry: (index, position) => kept.get(index)?.view?.hurry(position),
    verify: async () => {
      await Promise.all([...kept.values()].map(({ view }) => view?.verify()));
    },
    stop: async () => {
      stopped = true;
      await Promise.all([...[...kept.values()].map((view) => view.stop()), ...leaving]);
      resolveEnded(undefined);
    },
  };
}

/** All of them, for a process that fills a bucket alone. */
export function allOf(count: GroupCount): ReadonlySet<number> {
  return new Set(allGroups(count).map(({ index }) => index));
}
