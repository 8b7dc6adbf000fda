import type { Bucket } from '../eventstore/bucket.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import type { BucketResolver } from './aliases.ts';
import { readCheckpoint } from './checkpoint.ts';
import { type ReadOptions, type ReadRow, ViewBehind } from './read-models.ts';

/** Reads of one view that may demand a position. Each look at the view asks anew which bucket is the live one. */
export interface ViewAccess {
  /** The row, or undefined; with `minPosition` not before everything up to it is in the row. @throws ViewBehind, LogUnavailable */
  row(key: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** The bucket once its checkpoint is at `minPosition`; undefined when the view was never started. @throws ViewBehind, LogUnavailable */
  bucket(options?: ReadOptions): Promise<Bucket | undefined>;
}

const ROW_ID = /^[A-Za-z0-9_-]{1,128}$/;

/** Whether a row of that id can exist. Anything else could name a page of a list or the checkpoint. */
export function isRowId(key: string): boolean {
  return ROW_ID.test(key);
}

/** How long a query waits for the demanded position when it does not say. */
export const DEFAULT_WAIT_MS = 2_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 80;

export function createViewAccess(deps: {
  view: string;
  resolver: BucketResolver;
  runtime: Runtime;
}): ViewAccess {
  const { view, resolver, runtime } = deps;

  /** Looks until `found` is an answer or the time is up. */
  const until = async <T>(
    minPosition: number,
    options: ReadOptions,
    look: (bucket: Bucket) => Promise<{ answer: T } | { reached: number }>,
  ): Promise<T> => {
    const end = runtime.now() + (options.waitMs ?? DEFAULT_WAIT_MS);
    let reached = 0;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const bucket = await resolver.current(view);
      if (bucket !== undefined) {
        const seen = await look(bucket);
        if ('answer' in seen) return seen.answer;
        reached = seen.reached;
      }
      const left = end - runtime.now();
      if (left <= 0) throw new ViewBehind(view, minPosition, reached);
      await runtime.sleep(Math.min(pause, left));
    }
  };

  return {
    row: async (key, options = {}) => {
      if (!isRowId(key)) return undefined;
      const { minPosition } = options;
      if (minPosition === undefined) {
        const bucket = await resolver.current(view);
        return bucket === undefined ? undefined : liveOnly(await readRow(bucket, key, false));
      }
      return until(minPosition, options, async (bucket) => {
        const row = await readRow(bucket, key, true);
        if (row !== undefined && row.position >= minPosition) return { answer: row };
        const reached = (await readCheckpoint(bucket))?.position ?? 0;
        if (reached < minPosition) return { reached };
        // The row may have been written between the two reads.
        return { answer: await readRow(bucket, key, true) };
      }).then(liveOnly);
    },
    bucket: (options = {}) => {
      const { minPosition } = options;
      if (minPosition === undefined) return resolver.current(view);
      return until(minPosition, options, async (bucket) => {
        const reached = (await readCheckpoint(bucket))?.position ?? 0;
        return reached < minPosition ? { reached } : { answer: bucket };
      });
    },
  };
}

async function readRow(bucket: Bucket, key: string, leader: boolean): Promise<ReadRow | undefined> {
  const row = await bucket.get(key, { leader });
  return row === undefined ? undefined : { json: row.value, position: row.position };
}

/** A removed row has a position, which is what the waiting looks at, but nothing to show. */
function liveOnly(row: ReadRow | undefined): ReadRow | undefined {
  return row === undefined || row.json.length === 0 ? undefined : row;
}
