import {
  BEGINNING,
  type Bucket,
  groupOfSlot,
  isAfter,
  type Log,
  type Position,
  type Row,
  type Runtime,
  type SlotGroup,
  slotOf,
} from '../../eventstore/index.ts';
import type { BucketResolver, LiveBucket } from './aliases.ts';
import { checkpointKey, parseCheckpoint, readCheckpoint, type Waiting } from './checkpoint.ts';
import { marksIn, marksKey } from './dead-letters.ts';
import { FoldFailure } from './errors.ts';
import { createFactDecoder, foldRow } from './facts.ts';
import type { Projection } from './projection.ts';
import { type ReadOptions, type ReadRow, ViewBehind } from './reading.ts';
import type { Projections } from './start.ts';

/** How long a query waits for the demanded position when it does not say. */
export const DEFAULT_WAIT_MS = 2_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 80;

/** Above so many waits in a process they share what they look at, so that more of them cost the server no more. */
const FEW_WAITS = 8;
/** How old a shared checkpoint may be, and the pause between two looks of one wait, in milliseconds. */
const SHARED_MS = 50;
const SHARED_PAUSE_MS = 150;

/** What the waits of a process have in common. */
export interface Waits {
  /** Runs a wait, which counts until it ends. */
  within<T>(wait: () => Promise<T>): Promise<T>;
  /** Whether each may look at what it likes. */
  few(): boolean;
  /** How far a group is stored: read now, or while there are many waits a moment ago. @throws LogUnavailable */
  reached(bucket: Bucket, group: SlotGroup): Promise<Position>;
  /** What was read of the groups is out of date: a group that runs here has stored more. */
  moved(): void;
}

/** Counts the waits of a process. */
export function createWaits(runtime: Runtime): Waits {
  const looks = new Map<string, { readonly at: number; readonly reached: Promise<Position> }>();
  let under = 0;
  const few = () => under <= FEW_WAITS;
  return {
    few,
    within: async (wait) => {
      under++;
      try {
        return await wait();
      } finally {
        under--;
        if (under === 0) looks.clear();
      }
    },
    moved: () => looks.clear(),
    reached: (bucket, group) => {
      const key = `${bucket.name}/${checkpointKey(group)}`;
      const last = looks.get(key);
      if (!few() && last !== undefined && runtime.now() - last.at < SHARED_MS) return last.reached;
      const reached = readCheckpoint(bucket, group).then((stored) => stored?.position ?? BEGINNING);
      looks.set(key, { at: runtime.now(), reached });
      return reached;
    },
  };
}

/** What a look at a bucket found: the answer, or which group has only come how far. */
export type Look<T> = { readonly answer: T } | { readonly reached: Position; readonly index: number };

/**
 * Looks at the live bucket until it has the answer or the time is up. A group that runs in this process is asked for
 * its checkpoint, and wakes the query; others are looked at again after pauses that grow to 80 ms, or together where
 * many wait.
 */
export function createWaiting(deps: {
  projection: { readonly name: string };
  resolver: BucketResolver;
  runtime: Runtime;
  waits: Waits;
  requestCheckpoint?: Projections['requestCheckpoint'] | undefined;
}) {
  const { resolver, runtime, waits, requestCheckpoint } = deps;
  const view = deps.projection.name;

  const rest = async (ms: number, local: Waiting | undefined): Promise<void> => {
    const moved = local?.reached.then(waits.moved);
    if (ms > 0) await Promise.race([runtime.sleep(ms), ...(moved ? [moved] : [])]);
    local?.cancel();
  };
  const until = async <T>(
    minPosition: Position,
    options: ReadOptions,
    look: (live: LiveBucket) => Promise<Look<T>>,
  ): Promise<T> => {
    const end = runtime.now() + (options.waitMs ?? DEFAULT_WAIT_MS);
    let reached = BEGINNING;
    for (let pause = FIRST_PAUSE_MS; ; pause *= 2) {
      const live = await resolver.current(view);
      let local: Waiting | undefined;
      if (live !== undefined) {
        const seen = await look(live);
        if ('answer' in seen) return seen.answer;
        reached = seen.reached;
        local = requestCheckpoint?.(view, live.bucket.name, seen.index, minPosition);
      }
      const left = end - runtime.now();
      await rest(Math.min(pause, waits.few() ? LONGEST_PAUSE_MS : SHARED_PAUSE_MS, left), local);
      if (left <= 0) throw new ViewBehind(view, minPosition, reached);
    }
  };
  return <T>(minPosition: Position, options: ReadOptions, look: (live: LiveBucket) => Promise<Look<T>>) =>
    waits.within(() => until(minPosition, options, look));
}

/** Reads of one view that may demand a position. Each look at the view asks anew which bucket is the live one. */
export interface ViewAccess {
  /** The row, or undefined; with `minPosition` not before everything up to it is in the row. @throws ViewBehind, LogUnavailable */
  row(key: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** The bucket once all its checkpoints are at `minPosition`; undefined when the view was never started. @throws ViewBehind, LogUnavailable */
  bucket(options?: ReadOptions): Promise<LiveBucket | undefined>;
}

export interface AccessDeps {
  readonly projection: Projection;
  readonly log: Log;
  readonly resolver: BucketResolver;
  readonly runtime: Runtime;
  /** Those of all views of the process. */
  readonly waits: Waits;
  /** Of the views that run in this process. */
  readonly requestCheckpoint?: Projections['requestCheckpoint'] | undefined;
  readonly coveredBy?: Projections['coveredBy'] | undefined;
}

const ROW_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether a row of that id can exist. Anything else could name a page of a list or the checkpoint. @internal */
export function isRowId(key: string): boolean {
  return ROW_ID.test(key);
}

export function createViewAccess(deps: AccessDeps): ViewAccess {
  const { projection, resolver, runtime, waits, coveredBy } = deps;
  const view = projection.name;
  const until = createWaiting(deps);

  /**
   * A row with the checkpoint that covers it, and what marks its aggregate as a dead letter, for which the view may never
   * get to what is asked for. All from one state: whoever answers, even a leader that is none any more, shows with a
   * checkpoint the rows that it covers.
   */
  const covered = async (bucket: Bucket, key: string, group: SlotGroup) => {
    const keys = [key, checkpointKey(group), marksKey(group)];
    const found = new Map((await bucket.getAll(keys)).map((row) => [row.key, row]));
    const { marks } = marksIn(found.get(marksKey(group)));
    return {
      reached: parseCheckpoint(found.get(checkpointKey(group)))?.position ?? BEGINNING,
      row: readOf(found.get(key)),
      mark: projection.onUnapplied === 'dead-letter' ? marks.get(key) : undefined,
    };
  };
  const decode = createFactDecoder(projection.sources);

  /** From where on a row or a checkpoint shows everything up to `position`. */
  const coveringOf = async (bucket: Bucket, index: number, position: Position): Promise<Position> => {
    const told = coveredBy?.(view, bucket.name, index, position) ?? position;
    if (!(told instanceof Promise)) return told;
    return Promise.race([told, runtime.sleep(LONGEST_PAUSE_MS).then(() => position)]);
  };

  /** Where the view has something to store for a position, the row may be there before the checkpoint that covers it. */
  const lookAhead = async (
    bucket: Bucket,
    key: string,
    group: SlotGroup,
    minPosition: Position,
  ): Promise<Look<ReadRow> | undefined> => {
    const row = waits.few() ? await readRow(bucket, key, true) : undefined;
    if (row !== undefined && !isAfter(minPosition, row.position)) return { answer: row };
    const reached = await waits.reached(bucket, group);
    return isAfter(minPosition, reached) ? { reached, index: group.index } : undefined;
  };

  const look = async (
    { bucket, groups }: LiveBucket,
    key: string,
    minPosition: Position,
  ): Promise<Look<ReadRow | undefined>> => {
    const index = groupOfSlot(slotOf(key), groups);
    const group = { count: groups, index };
    const from = await coveringOf(bucket, index, minPosition);
    const ahead = from === minPosition ? await lookAhead(bucket, key, group, minPosition) : undefined;
    if (ahead !== undefined) return ahead;
    const { reached, row, mark } = await covered(bucket, key, group);
    // Not stored yet, or a replica that lags: it is asked again.
    if (isAfter(from, reached)) return { reached, index };
    return { answer: mark === undefined ? row : await fromLog(mark.stream, row, minPosition) };
  };

  return {
    row: async (key, options = {}) => {
      if (!isRowId(key)) return undefined;
      const { minPosition } = options;
      if (minPosition === undefined) {
        const live = await resolver.current(view);
        return live === undefined ? undefined : liveOnly(await readRow(live.bucket, key, false));
      }
      return until(minPosition, options, (live) => look(live, key, minPosition)).then(liveOnly);
    },
    bucket: (options = {}) => {
      const { minPosition } = options;
      if (minPosition === undefined) return resolver.current(view);
      let done: { live: LiveBucket; groups: number } | undefined;
      return until(minPosition, options, async (live) => {
        // A group that was there once stays there; another bucket begins anew.
        if (done?.live.bucket !== live.bucket) done = { live, groups: 0 };
        for (; done.groups < live.groups; done.groups++) {
          const index = done.groups;
          const reached = await waits.reached(live.bucket, { count: live.groups, index });
          if (isAfter(minPosition, reached)) return { reached, index };
        }
        return { answer: live };
      });
    },
  };

  async function fromLog(
    stream: { category: string; id: string },
    row: ReadRow | undefined,
    minPosition: Position,
  ): Promise<ReadRow> {
    try {
      const folded = await foldRow({ log: deps.log, projection, decode, confirm: true }, stream, stream.id);
      const json = folded.row === undefined ? '' : JSON.stringify(folded.row);
      return { json: Buffer.from(json), position: folded.position };
    } catch (error) {
      if (error instanceof FoldFailure) throw new ViewBehind(view, minPosition, row?.position ?? BEGINNING);
      throw error;
    }
  }
}

async function readRow(bucket: Bucket, key: string, leader: boolean): Promise<ReadRow | undefined> {
  return readOf(await bucket.get(key, { leader }));
}

const readOf = (row: Row | undefined): ReadRow | undefined =>
  row === undefined ? undefined : { json: row.value, position: row.position };

/** A removed row has a position, which is what the waiting looks at, but nothing to show. */
function liveOnly(row: ReadRow | undefined): ReadRow | undefined {
  return row === undefined || row.json.length === 0 ? undefined : row;
}
