import type { Bucket } from '../eventstore/bucket.ts';
import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { type Checkpoint, createCheckpoint, openCheckpoint } from './checkpoint.ts';
import { BucketRewound, isRetryable, PoisonEvent, RowsLost } from './errors.ts';
import { type FactCommit, type FactDecoder, visitRows } from './facts.ts';
import { type Projection, versionOf } from './projection.ts';
import { createRows } from './rows.ts';
import type { ProjectionSettings } from './settings.ts';

/** One projection at work on one bucket: takes the log's commits in order, each with exactly one effect. */
export interface View {
  readonly projection: Projection;
  readonly bucket: Bucket;
  /** Position of the last commit that was handed in. */
  readonly delivered: number;
  /** Position up to which everything is stored and will never be read again. */
  readonly checkpoint: number;
  /** Takes a commit; one at or below `delivered` is ignored. */
  apply(commit: FactCommit): void;
  /** All commits up to `position` were handed in or do not concern this view; `live` = that is the log's end. */
  reached(position: number, live: boolean): void;
  /** Events taken in since it was opened. */
  readonly events: number;
  /** Stops the view: what it took in is stored, then it ends with this error. */
  fail(error: unknown): void;
  /** Resolves when the view can take more; at once when it is not behind, and when it has ended. */
  relieved(): Promise<void> | undefined;
  /** Looks whether the bucket still holds the checkpoint; a view whose bucket lost it ends. @throws LogUnavailable */
  verify(): Promise<void>;
  /** Resolves when the view has ended: with the error that ended it, or with undefined after `close`. */
  readonly ended: Promise<unknown>;
  /** Stores what was taken in, then the checkpoint; gives up after `stopMs`. Ends the view. */
  close(): Promise<void>;
}

export interface ViewDeps {
  readonly projection: Projection;
  readonly bucket: Bucket;
  readonly log: Log;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly settings: ProjectionSettings;
}

/** Opens a view at its checkpoint. @throws ForeignCheckpoint, LogUnavailable */
export async function openView(deps: ViewDeps): Promise<View> {
  const { projection, bucket, log, runtime, settings } = deps;
  const checkpointDeps = {
    view: projection.name,
    version: versionOf(projection),
    bucket,
    incarnation: log.incarnation,
    runtime,
    intervalMs: settings.checkpointMs,
  };
  const opened = await openCheckpoint(checkpointDeps, await log.head());
  const seen = { highest: opened.revision };
  let delivered = opened.position;
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
    { ...deps, seen },
    {
      progressed: () => {
        checkpoint.changed();
        if (wake.length > 0) wakeAll();
      },
      failed: (error, position) => {
        end(isRetryable(error) ? error : poisonOf(projection.name, position, error));
      },
    },
  );
  const checkpoint: Checkpoint = createCheckpoint(
    checkpointDeps,
    opened,
    () => ({ position: rows.floor(delivered), covers: seen.highest }),
    end,
  );

  return {
    projection,
    bucket,
    ended,
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
      if (phase !== 'open' || position <= delivered) return;
      try {
        visitRows(projection, commit, rows.touch);
        delivered = position;
        events += commit.facts.length;
      } catch (error) {
        void stop(new PoisonEvent(projection.name, position, error));
      }
    },
    reached: (position, live) => {
      if (phase !== 'open') return;
      if (position > delivered) delivered = position;
      rows.flush(live);
      checkpoint.changed();
    },
    relieved: () => {
      if (phase !== 'open' || rows.backlog() < settings.maxBacklog) return undefined;
      return (async () => {
        while (phase === 'open' && rows.backlog() > settings.maxBacklog / 2) await progress();
      })();
    },
    verify: async () => {
      try {
        await checkpoint.verify();
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

function poisonOf(view: string, position: number | undefined, cause: unknown): unknown {
  if (cause instanceof RowsLost || position === undefined) return cause;
  return new PoisonEvent(view, position, cause);
}
