import {
  BEGINNING,
  type Bucket,
  backoffMs,
  before,
  distance,
  groupOfSlot,
  isAfter,
  type LogBatch,
  type RecordedCommit,
  type Row,
  slotOf,
  smallerBatches,
} from '../../../eventstore/index.ts';
import type { EngineDeps } from '../engine.ts';
import { RowsLost } from '../errors.ts';
import { foldRow, visitRows } from '../facts.ts';
import type { View } from '../view.ts';

/** Commits that are looked at together: one request for all rows of a view, those that many commits touch once. */
const AT_ONCE = 500;
/** One pass over the log takes at least so long, in milliseconds; so often it is looked whether one is due. */
const SHORTEST_PASS_MS = 10_000;

type SweepDeps = Omit<EngineDeps, 'decode' | 'marks'>;

/**
 * Goes through the log again and again, slowly, and looks whether each commit is in the rows that it belongs to. A row
 * that somebody removed or put back to an older value is folded again from the log; nothing else would notice before
 * the aggregate's next commit. Rows that cross aggregates cannot be folded one by one: their view fills a new bucket.
 * While no bucket has changed since a pass began over all of the log, there is nothing to look for.
 * @param views those at work in this process now
 */
export function startSweep(deps: SweepDeps, views: () => readonly View[]): { stop(): void } {
  const { log, runtime, settings } = deps;
  const { sweepPerSecond } = settings;
  const controller = new AbortController();
  const { signal } = controller;

  const look = async (batch: LogBatch): Promise<void> => {
    for (const part of smallerBatches(batch, AT_ONCE)) {
      if (signal.aborted) return;
      for (const view of views()) await checkRows(deps, view, await handleOf(view), part.commits);
      await runtime.sleep((part.commits.length * 1_000) / sweepPerSecond);
    }
  };

  /** Handles of the sweep's own: one tells only one of its users that its bucket may have lost rows. */
  const handles = new WeakMap<View, Bucket>();
  const handleOf = async (view: View): Promise<Bucket | undefined> => {
    const bucket = handles.get(view) ?? (await deps.buckets.open(view.bucket.name));
    if (bucket !== undefined) handles.set(view, bucket);
    return bucket;
  };
  const stampOf = async (view: View): Promise<string | undefined> => (await handleOf(view))?.stamp();
  const stamps = async (): Promise<Stamps> => {
    const all = views().map(async (view) => [view, await stampOf(view).catch(() => undefined)] as const);
    return new Map(await Promise.all(all));
  };

  const run = async (): Promise<void> => {
    // Somewhere: a service that starts often would never come to the end.
    const head = await log.head().catch(() => BEGINNING);
    let after = before(head, Math.ceil(runtime.random() * distance(BEGINNING, head)));
    /** As the buckets were when a pass began that has seen all of the log. */
    let seen: Stamps | undefined;
    for (let attempt = 0; !signal.aborted; ) {
      const due = runtime.now() + SHORTEST_PASS_MS;
      try {
        const found = await stamps();
        if (!isSame(found, seen)) {
          seen = undefined;
          const isWhole = after === BEGINNING;
          for await (const batch of log.scan({ after, signal })) {
            await look(batch);
            after = batch.through;
          }
          after = BEGINNING;
          if (isWhole) seen = found;
        }
        attempt = 0;
        if (!signal.aborted) await runtime.sleep(Math.max(0, due - runtime.now()));
      } catch {
        // Whatever it was, views tell it themselves; the rows behind it are worth another look.
        await runtime.sleep(backoffMs(runtime, attempt++, settings.backoffBaseMs, settings.backoffCapMs));
      }
    }
  };

  if (sweepPerSecond > 0) void run();
  return { stop: () => controller.abort() };
}

/** Which views were at work, and how their buckets were; undefined where nobody could say. */
type Stamps = ReadonlyMap<View, string | undefined>;

function isSame(found: Stamps, seen: Stamps | undefined): boolean {
  if (seen === undefined || found.size !== seen.size) return false;
  return [...found].every(([view, stamp]) => stamp !== undefined && seen.get(view) === stamp);
}

/** The row that a commit belongs to, with the last of its commits so far. */
interface Expected {
  readonly key: string;
  readonly commit: RecordedCommit;
}

async function checkRows(
  deps: SweepDeps,
  view: View,
  bucket: Bucket | undefined,
  commits: readonly RecordedCommit[],
): Promise<void> {
  const expected = [...expectedRows(view, commits).values()];
  if (bucket === undefined || expected.length === 0) return;
  const found = new Map((await bucket.getAll(expected.map(({ key }) => key))).map((row) => [row.key, row]));
  for (const { key, commit } of expected) {
    if (hasSeen(found.get(key), commit)) continue;
    const stored = await bucket.get(key, { leader: true });
    if (hasSeen(stored, commit)) continue;
    const { projection, decode } = view;
    const { name, crossesAggregates } = projection;
    if (crossesAggregates) {
      view.fail(new RowsLost(name, bucket.name, key, deps.settings.rebuildHint?.(name)));
      return;
    }
    const { row, position } = await foldRow({ ...deps, decode, projection }, commit.stream, key);
    const value = row === undefined ? undefined : Buffer.from(JSON.stringify(row));
    // Whoever was there first has seen more.
    const { written } = await bucket.write({ key, value, expectedRevision: stored?.revision ?? 0, position });
    if (written) deps.observer?.rowHealed?.({ view: name, key, position });
  }
}

function hasSeen(row: Row | undefined, { position }: RecordedCommit): boolean {
  return row !== undefined && !isAfter(position, row.position);
}

/** What the view has stored of these commits, by row. */
function expectedRows(
  { projection, decode, group, checkpoint, deadLetters }: View,
  commits: readonly RecordedCommit[],
): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  const categories = new Set(projection.sources.map(({ category }) => category));
  const dead = new Set(deadLetters().map(({ key }) => key));
  for (const commit of commits) {
    const { stream, position } = commit;
    if (isAfter(position, checkpoint) || !categories.has(stream.category) || dead.has(stream.id)) continue;
    if (groupOfSlot(slotOf(stream.id), group.count) !== group.index) continue;
    try {
      visitRows(projection, decode(commit), (key) => expected.set(key, { key, commit }));
    } catch {
      // The view's own policy says what becomes of a commit that cannot be read.
    }
  }
  return expected;
}
