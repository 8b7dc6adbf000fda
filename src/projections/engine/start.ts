import { isAfter, type Log, type Position, type Runtime, watchMarks } from '../../eventstore/index.ts';
import { type Buckets, createAliases, watchAliases } from './aliases.ts';
import type { Waiting } from './checkpoint.ts';
import { createFactDecoder } from './facts.ts';
import type { Sharing } from './members.ts';
import type { ProjectionObserver } from './observer.ts';
import { createForeignNotes, type MetForeign } from './passed/foreign.ts';
import type { Projection } from './projection.ts';
import { createReader } from './reader.ts';
import type { ViewStatus } from './reading.ts';
import { startSweep } from './rebuild/sweep.ts';
import { startRunner } from './runner.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';

/** The views that run in this process. */
export interface Projections {
  /** Stores what was taken in and the checkpoints; every view gives up after `stopMs`. */
  stop(): Promise<void>;
  /** How far each view is, as far as this process knows; asks nobody. Where it shares the groups: how far its own are. */
  status(): readonly ViewStatus[];
  /**
   * Waits for the checkpoint of a group of a view's bucket and has it written as soon as it can be; undefined when
   * this process does not run that group.
   */
  requestCheckpoint(view: string, bucket: string, index: number, position: Position): Waiting | undefined;
  /**
   * From which checkpoint of a group of a view's bucket on everything up to `position` is in the rows: an earlier one,
   * where the last commits do not concern the view. Waits until the view has been handed in all of them; undefined when
   * this process does not run that group.
   */
  coveredBy(
    view: string,
    bucket: string,
    index: number,
    position: Position,
  ): Position | Promise<Position> | undefined;
  /**
   * Resolves when the checkpoint of every group that runs here is at or above `position`. Rejects when a view has
   * stopped for good.
   */
  waitUntil(position: Position): Promise<void>;
  /** How many scans of the log are under way; one when all views keep up. */
  scans(): number;
}

const LOOK_EVERY_MS = 5;

/**
 * Starts the views. Faults that pass are waited out; `onError` is told of a view that has stopped for good, and the
 * others go on. Any number of processes may run the same views at once; with `sharing` they divide the groups.
 */
export function startProjections(deps: {
  log: Log;
  buckets: Buckets;
  projections: readonly Projection[];
  runtime: Runtime;
  settings?: Partial<ProjectionSettings>;
  sharing?: Sharing;
  /** Whether the server still has the log that was opened; without it, yes. A lost bucket is filled anew only then. */
  sameLog?: () => Promise<boolean>;
  onError?: (view: string, error: unknown) => void;
  observer?: ProjectionObserver | undefined;
}): Projections {
  const { log, buckets, projections, runtime, observer } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const decode = createFactDecoder(projections.flatMap((projection) => projection.sources));
  const told = (met: MetForeign) => observer?.foreign?.(met);
  const notes = createForeignNotes({ log, buckets, prefix: settings.prefix, runtime, told });
  const reader = createReader({ log, decode, runtime, settings, observer, foreign: notes.met });
  const aliases = watchAliases(createAliases(buckets, settings.prefix), runtime, settings.resolveMs);
  const failures = new Map<string, unknown>();
  const onError = (view: string, error: unknown) => {
    failures.set(view, error);
    deps.onError?.(view, error);
  };
  const marked = watchMarks(log, runtime, settings.resolveMs);
  const engine = { log, buckets, aliases, decode, runtime, settings, reader, observer, onError, marked };
  const { sharing, sameLog = async () => true } = deps;
  const runners = projections.map((projection) => startRunner({ ...engine, sharing, sameLog }, projection));
  const sweep = startSweep(engine, () => runners.flatMap((runner) => runner.views()));
  const status = () => runners.map((runner) => runner.status());
  const runnerOf = (view: string) => runners.find(({ projection }) => projection.name === view);

  return {
    status,
    scans: reader.scans,
    requestCheckpoint: (view, bucket, index, position) =>
      runnerOf(view)?.requestCheckpoint(bucket, index, position),
    coveredBy: (view, bucket, index, position) => runnerOf(view)?.coveredBy(bucket, index, position),
    stop: async () => {
      sweep.stop();
      await Promise.all(runners.map((runner) => runner.stop()));
      reader.stop();
      notes.stop();
      // Another instance notices a silent one too, only later.
      await sharing?.leave().catch(() => undefined);
    },
    waitUntil: async (position) => {
      for (;;) {
        const behind = status().filter((view) => isAfter(position, view.position));
        if (behind.length === 0) return;
        for (const { view, running } of behind) if (!running && failures.has(view)) throw failures.get(view);
        await runtime.sleep(LOOK_EVERY_MS);
      }
    },
  };
}
