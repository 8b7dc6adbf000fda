import {
  BEGINNING,
  type Bucket,
  backoffMs,
  earliest,
  isAfter,
  mayHeal,
  type Position,
} from '../../eventstore/index.ts';
import type { Buckets } from './aliases.ts';
import type { Waiting } from './checkpoint.ts';
import type { DeadLetterRow } from './dead-letters.ts';
import { bucketGone } from './errors.ts';
import { allGroups, type GroupCount, settingsOfGroup } from './groups.ts';
import type { Reader } from './reader.ts';
import { openView, type View, type ViewDeps } from './view.ts';

/**
 * One group of a view that is opened again from its stored checkpoint whenever it ends for a reason that passes: an
 * outage, or a bucket that lost its newest writes. Nothing else has to be undone, since every write is fenced.
 */
export interface KeptView {
  /** The view at work now; undefined while it waits to be opened. */
  readonly view: View | undefined;
  /** Its last known checkpoint. */
  readonly position: Position;
  /** What it waits out now, or what stopped it for good. */
  readonly lastError: unknown;
  /** Resolves when it has stopped for good: with the error that stopped it, or undefined after `stop`. */
  readonly ended: Promise<unknown>;
  /** Stores what was taken in and the checkpoint, then ends. */
  stop(): Promise<void>;
}

/**
 * `open` gives the view a handle of its own: a handle tells only one of its users that its bucket may have lost rows.
 */
export function keepView(
  deps: Omit<ViewDeps, 'bucket'> & { reader: Reader; open: () => Promise<Bucket> },
): KeptView {
  const { reader, runtime, settings } = deps;
  let bucket: Bucket | undefined;
  let view: View | undefined;
  let position = BEGINNING;
  let lastError: unknown;
  let stopped = false;

  const serve = async (): Promise<unknown> => {
    bucket ??= await deps.open();
    const opened = await openView({ ...deps, bucket });
    if (stopped) return undefined;
    view = opened;
    position = opened.checkpoint;
    reader.join(opened);
    const error = await opened.ended;
    position = opened.checkpoint;
    reader.leave(opened);
    view = undefined;
    return error;
  };

  const run = async (): Promise<unknown> => {
    for (let attempt = 0; !stopped; attempt++) {
      const before = position;
      try {
        lastError = await serve();
      } catch (error) {
        lastError = error;
      }
      if (stopped) break;
      if (lastError !== undefined && !mayHeal(lastError)) return lastError;
      if (isAfter(position, before)) attempt = 0;
      await runtime.sleep(backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs));
    }
    return undefined;
  };

  const ended = run();
  return {
    ended,
    get view() {
      return view;
    },
    get position() {
      return view?.checkpoint ?? position;
    },
    get lastError() {
      return view === undefined ? lastError : undefined;
    },
    stop: async () => {
      stopped = true;
      await view?.close();
    },
  };
}

/** The groups of a view on one bucket that this process runs. */
export interface KeptGroups {
  /** Runs exactly these from now on; one that is given up stores what it took in first. */
  own(indices: ReadonlySet<number>): void;
  /** How many of how many it runs. */
  readonly owned: number;
  readonly count: GroupCount;
  /** The checkpoint of its group that is furthest behind; undefined while it runs none. */
  readonly position: Position | undefined;
  /** Position that all its groups have taken in; undefined while one of them is not open. */
  readonly delivered: Position | undefined;
  /** Events that its open groups have taken in. */
  readonly events: number;
  /** True when each of its groups is at work. */
  readonly running: boolean;
  readonly lastError: unknown;
  /** Resolves when one of them has stopped for good: with its error, or with undefined after `stop`. */
  readonly ended: Promise<unknown>;
  deadLetters(): readonly DeadLetterRow[];
  /** Its groups that are open now. */
  views(): readonly View[];
  /** Waits for a group's checkpoint; undefined when this process does not run that group now. */
  requestCheckpoint(index: number, position: Position): Waiting | undefined;
  /** What its view says; undefined when this process does not run that group now. */
  coveredBy(index: number, position: Position): Position | Promise<Position> | undefined;
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
    if (bucket === undefined) throw bucketGone(deps.projection.name, name);
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

  const lowest = (of: (view: KeptView) => Position | undefined): Position | undefined => {
    let low: Position | undefined;
    for (const view of kept.values()) {
      const position = of(view);
      if (position === undefined) return undefined;
      low = low === undefined ? position : earliest(low, position);
    }
    return low;
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
    deadLetters: () => [...kept.values()].flatMap(({ view }) => view?.deadLetters() ?? []),
    views: () => [...kept.values()].flatMap(({ view }) => view ?? []),
    requestCheckpoint: (index, position) => kept.get(index)?.view?.requestCheckpoint(position),
    coveredBy: (index, position) => kept.get(index)?.view?.coveredBy(position),
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
