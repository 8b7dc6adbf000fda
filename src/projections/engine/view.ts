import {
  type Bucket,
  earliest,
  isAfter,
  type Log,
  latest,
  type Marks,
  mayHeal,
  type Position,
  type RecordedCommit,
  type Runtime,
  type SlotGroup,
} from '../../eventstore/index.ts';
import { createCheckpoint, openCheckpoint, type Waiting } from './checkpoint.ts';
import { type DeadLetterRow, type DeadLetters, openDeadLetters } from './dead-letters.ts';
import { BucketRewound, FoldFailure, RowsLost, UnappliedEvent } from './errors.ts';
import { type FactCommit, type FactDecoder, passing, visitRows } from './facts.ts';
import type { ProjectionObserver } from './observer.ts';
import { passedBy } from './passed/skips.ts';
import { type Projection, versionOf } from './projection.ts';
import { createRows } from './rows.ts';
import type { ProjectionSettings } from './settings.ts';

/** One group of a projection at work on one bucket: takes its commits in order, each with exactly one effect. */
export interface View {
  readonly projection: Projection;
  /** The share of the log that it takes; other commits must not be handed in. */
  readonly group: SlotGroup;
  readonly bucket: Bucket;
  /** Decodes as this view reads: what it passes over has no events. */
  readonly decode: FactDecoder;
  /** Position of the last commit that was handed in. */
  readonly delivered: Position;
  /** Position up to which everything is stored and will never be read again. */
  readonly checkpoint: Position;
  /**
   * From which checkpoint on everything up to `position` is stored: an earlier one, where the last commits do not concern
   * this view. Waits until it has been handed in all of them; one that has ended knows of none but `position`.
   */
  coveredBy(position: Position): Position | Promise<Position>;
  /** Takes a commit; one at or below `delivered` is ignored. */
  apply(commit: FactCommit): void;
  /** All commits up to `position` were handed in or do not concern this view; `live` = that is the log's end. */
  reached(position: Position, live: boolean): void;
  /** Events taken in since it was opened. */
  readonly events: number;
  /** A commit of its share could not be decoded: makes a dead letter of it or stops the view, as its policy says. */
  unapplied(commit: RecordedCommit, error: unknown): void;
  /** Stops the view: what it took in is stored, then it ends with this error. */
  fail(error: unknown): void;
  /** Waits for a checkpoint, which is not paced then. */
  requestCheckpoint(position: Position): Waiting;
  /** The rows that are dead letters. */
  deadLetters(): readonly DeadLetterRow[];
  /** Resolves when the view can take more; at once when it is not behind, and when it has ended. */
  backPressure(): Promise<void> | undefined;
  /**
   * Looks whether the bucket still holds the checkpoint, and for rows that were released. A view whose bucket lost
   * the checkpoint ends. @throws LogUnavailable
   */
  verify(): Promise<void>;
  /** Resolves when the view has ended: with the error that ended it, or with undefined after `close`. */
  readonly ended: Promise<unknown>;
  /** Stores what was taken in, then the checkpoint; gives up after `stopMs`. Ends the view. */
  close(): Promise<void>;
}

export interface ViewDeps {
  readonly projection: Projection;
  readonly group: SlotGroup;
  readonly bucket: Bucket;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly observer?: ProjectionObserver | undefined;
  readonly marks: Marks;
  /** Of one group. */
  readonly settings: ProjectionSettings;
}

/** A view that nothing happens to looks after its bucket less often than which bucket is the live one. */
const VERIFY_LOOKS = 1.5;

/** What a group's checkpoint says of itself, and how it is paced. */
function checkpointDepsOf({ projection, group, bucket, log, runtime, settings, marks }: ViewDeps) {
  return {
    rebuildHint: settings.rebuildHint?.(projection.name),
    view: projection.name,
    version: versionOf(projection, group.count, marks),
    bucket,
    group,
    incarnation: log.incarnation,
    runtime,
    intervalMs: settings.checkpointMs,
    verifyMs: VERIFY_LOOKS * settings.resolveMs,
  };
}

/** Opens a view at its checkpoint. @throws ForeignCheckpoint, LogUnavailable */
export async function openView(deps: ViewDeps): Promise<View> {
  const { projection, group, bucket, log, runtime, settings, marks } = deps;
  const passed = passedBy(projection, marks);
  const decode = passing(deps.decode, passed);
  const checkpointDeps = checkpointDepsOf(deps);
  const opened = await openCheckpoint(checkpointDeps, log.confirm);
  const seen = { highest: opened.revision };
  let delivered = opened.position;
  /** The last commit that concerned it. */
  let touched = opened.position;
  let events = 0;
  let phase: 'open' | 'ending' | 'ended' = 'open';
  let wake: (() => void)[] = [];
  let resolveEnded: (error: unknown) => void = () => undefined;
  const ended = new Promise<unknown>((resolve) => {
    resolveEnded = resolve;
  });
  const wakeAll = () => {
    const all = wake;
    wake = [];
    for (const resolve of all) resolve();
  };
  const progress = () => new Promise<void>((resolve) => wake.push(resolve));

  const end = (error: unknown) => {
    if (phase === 'ended') return;
    phase = 'ended';
    rows.stop();
    checkpoint.stop();
    resolveEnded(error);
    wakeAll();
  };

  /** Stores what can still be stored: everything when nothing is wrong, all but the row that failed otherwise. */
  const drain = async (): Promise<void> => {
    rows.writeNow();
    rows.flush(true);
    if (rows.backlog() > 0) {
      let late = false;
      void runtime.sleep(settings.stopMs).then(() => {
        late = true;
        wakeAll();
      });
      while (rows.backlog() > 0 && !late && phase !== 'ended') await progress();
    }
    if (phase !== 'ended') await Promise.race([checkpoint.flush().catch(() => undefined), ended]);
  };

  const stop = async (error: unknown): Promise<void> => {
    if (phase !== 'open') return;
    phase = 'ending';
    await drain();
    end(error);
  };

  const rows = createRows(
    { ...deps, decode, seen, rebuildHint: checkpointDeps.rebuildHint },
    {
      progressed: () => {
        checkpoint.changed();
        if (wake.length > 0) wakeAll();
      },
      failed: (error, position) => {
        end(mayHeal(error) ? error : unappliedOf(projection.name, position, error, settings.skipHint));
      },
      unapplied: ({ stream, position, cause }) => deadLetters?.add(stream, position, cause) ?? false,
      isUrgent: () => checkpoint.awaited || phase !== 'open',
    },
  );
  const checkpoint = createCheckpoint(
    checkpointDeps,
    opened,
    () => ({
      position: earliest(rows.floor(delivered), deadLetters?.floor() ?? delivered),
      covers: seen.highest,
    }),
    end,
  );
  let deadLetters: DeadLetters | undefined;
  deadLetters = await openDeadLetters(
    { ...deps, decode, seen },
    { progressed: checkpoint.changed, failed: end },
  );
  const { add, list, look } = deadLetters;
  const skips = (commit: RecordedCommit): boolean => passed.has(commit.position) || deadLetters.skips(commit);

  const unapplied = (commit: RecordedCommit, error: unknown): void => {
    if (phase !== 'open' || !isAfter(commit.position, delivered)) return;
    if (skips(commit) || add(commit.stream, commit.position, error)) {
      touched = delivered = commit.position;
    } else void stop(new UnappliedEvent(projection.name, commit.position, error, settings.skipHint));
  };

  const coveringOf = (position: Position): Position =>
    phase !== 'open' || isAfter(touched, position) ? position : touched;
  const handedIn = async (position: Position): Promise<void> => {
    while (phase === 'open' && isAfter(position, delivered)) await progress();
  };

  return {
    projection,
    group,
    bucket,
    decode,
    ended,
    coveredBy: (position) =>
      isAfter(position, delivered)
        ? handedIn(position).then(() => coveringOf(position))
        : coveringOf(position),
    fail: (error) => void stop(error),
    get delivered() {
      return delivered;
    },
    get events() {
      return events;
    },
    get checkpoint() {
      return checkpoint.position;
    },
    apply: (commit) => {
      const { position } = commit.commit;
      if (phase !== 'open' || !isAfter(position, delivered)) return;
      try {
        if (!skips(commit.commit)) visitRows(projection, commit, rows.touch);
        touched = delivered = position;
        events += commit.facts.length;
      } catch (error) {
        unapplied(commit.commit, error);
      }
    },
    unapplied,
    requestCheckpoint: (position) => {
      const waiting = checkpoint.requestCheckpoint(position);
      rows.writeNow();
      return waiting;
    },
    deadLetters: list,
    reached: (position, live) => {
      if (phase !== 'open') return;
      delivered = latest(delivered, position);
      rows.flush(live);
      checkpoint.changed();
      if (wake.length > 0) wakeAll();
    },
    backPressure: () => {
      if (phase !== 'open' || rows.backlog() < settings.maxBacklog) return undefined;
      return (async () => {
        while (phase === 'open' && rows.backlog() > settings.maxBacklog / 2) await progress();
      })();
    },
    verify: async () => {
      try {
        await checkpoint.verify();
        await look();
      } catch (error) {
        // As with a row: a fast bucket that was away may have lost what it had acknowledged.
        if (projection.crossesAggregates && !(error instanceof BucketRewound)) throw error;
        end(error);
      }
    },
    close: async () => {
      await stop(undefined);
      await ended;
    },
  };
}

function unappliedOf(
  view: string,
  position: Position | undefined,
  cause: unknown,
  skipHint: ProjectionSettings['skipHint'],
): unknown {
  if (cause instanceof FoldFailure) return new UnappliedEvent(view, cause.position, cause.cause, skipHint);
  if (cause instanceof RowsLost || cause instanceof UnappliedEvent || position === undefined) return cause;
  return new UnappliedEvent(view, position, cause, skipHint);
}
