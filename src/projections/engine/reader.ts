import {
  ahead,
  BEGINNING,
  backoffMs,
  distance,
  groupOfSlot,
  isAfter,
  type Log,
  type LogBatch,
  latest,
  mayHeal,
  type Position,
  type RecordedCommit,
  type Runtime,
  SLOTS,
  type StreamRef,
  slotOf,
} from '../../eventstore/index.ts';
import type { FactCommit, FactDecoder } from './facts.ts';
import type { ProjectionObserver } from './observer.ts';
import type { ProjectionSettings } from './settings.ts';
import type { View } from './view.ts';

/** The views that a commit of that aggregate concerns. */
export type Routes = (stream: StreamRef) => readonly View[];

const NONE: readonly View[] = [];

/** Finds views by category, and by slot where one of them takes only some. */
export function createRoutes(views: Iterable<View>): Routes {
  const byCategory = new Map<string, View[]>();
  for (const view of views) {
    for (const category of new Set(view.projection.sources.map((source) => source.category))) {
      const same = byCategory.get(category);
      if (same === undefined) byCategory.set(category, [view]);
      else same.push(view);
    }
  }
  const bySlot = new Map<string, readonly View[][]>();
  for (const [category, all] of byCategory) {
    if (all.every(({ group }) => group.count === 1)) continue;
    const slots = Array.from({ length: SLOTS }, (_, slot) =>
      all.filter(({ group }) => groupOfSlot(slot, group.count) === group.index),
    );
    bySlot.set(category, slots);
  }
  return ({ category, id }) =>
    (bySlot.size === 0 ? undefined : bySlot.get(category)?.[slotOf(id)]) ?? byCategory.get(category) ?? NONE;
}

/**
 * Reads the log for all views of the process, each commit decoded once. Views that stand close together share one
 * scan; a view far behind gets a scan of its own, which ends when it has come up with another. So views that keep
 * up cost one scan, and one that catches up holds nobody back.
 */
export interface Reader {
  /** Feeds a view everything behind `view.delivered`, until it ends or leaves. */
  join(view: View): void;
  /** Stops feeding a view. */
  leave(view: View): void;
  /** How many scans are under way. */
  scans(): number;
  /** The newest position of the log that any scan has seen. */
  head(): Position;
  stop(): void;
}

interface Feed {
  position: Position;
  readonly views: Set<View>;
  /** Of these views; undefined when they have changed. */
  routes: Routes | undefined;
  readonly controller: AbortController;
}

export function createReader(deps: {
  log: Log;
  decode: FactDecoder;
  runtime: Runtime;
  settings: ProjectionSettings;
  observer?: ProjectionObserver | undefined;
  /** Told of foreign messages; of the same one again when it is read again. */
  foreign?: ((commit: RecordedCommit) => void) | undefined;
}): Reader {
  const { log, decode, runtime, settings, observer, foreign } = deps;
  // What lies far behind belongs to traces that nobody looks at any more.
  const { aroundCommit: _, ...catchingUp } = observer ?? {};
  const feeds = new Set<Feed>();
  let head = BEGINNING;

  const close = (feed: Feed): void => {
    feeds.delete(feed);
    feed.controller.abort();
  };

  const leave = (view: View): void => {
    for (const feed of feeds) {
      if (!feed.views.delete(view)) continue;
      feed.routes = undefined;
      if (feed.views.size === 0) close(feed);
    }
  };

  /** A scan that stands at or a little behind a position: whoever stands there can be fed by it. */
  const feedNear = (position: Position, except?: Feed): Feed | undefined => {
    let best: Feed | undefined;
    for (const feed of feeds) {
      const near =
        !isAfter(feed.position, position) && distance(feed.position, position) <= settings.joinDistance;
      if (near && feed !== except && (best === undefined || isAfter(feed.position, best.position)))
        best = feed;
    }
    return best;
  };

  const merge = (feed: Feed): boolean => {
    const other = feedNear(feed.position, feed);
    if (other === undefined) return false;
    for (const view of feed.views) other.views.add(view);
    other.routes = undefined;
    feed.views.clear();
    close(feed);
    return true;
  };

  const failAll = (feed: Feed, error: unknown): void => {
    for (const view of feed.views) view.fail(error);
    close(feed);
  };

  /** True when the scan has done its part: it was ended, or another one goes on for it. */
  const take = (feed: Feed, batch: LogBatch): boolean => {
    for (const commit of batch.commits) if (commit.foreign !== undefined) foreign?.(commit);
    deliver(feed, batch, decode, batch.pending > settings.joinDistance ? catchingUp : observer);
    head = latest(head, ahead(feed.position, batch.pending));
    return feed.controller.signal.aborted || merge(feed);
  };

  const run = async (feed: Feed): Promise<void> => {
    const { signal } = feed.controller;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        for await (const batch of log.scan({ after: feed.position, follow: true, signal })) {
          attempt = 0;
          if (take(feed, batch)) return;
          await backPressure(feed);
        }
      } catch (error) {
        if (!mayHeal(error)) return failAll(feed, error);
      }
      if (signal.aborted) return;
      await runtime.sleep(backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs));
    }
  };

  return {
    join: (view) => {
      head = latest(head, view.delivered);
      const near = feedNear(view.delivered);
      if (near !== undefined) {
        near.views.add(view);
        near.routes = undefined;
        return;
      }
      const controller = new AbortController();
      const feed = { position: view.delivered, views: new Set([view]), routes: undefined, controller };
      feeds.add(feed);
      void run(feed);
    },
    leave,
    scans: () => feeds.size,
    head: () => head,
    stop: () => {
      for (const feed of feeds) close(feed);
    },
  };
}

/** Hands a batch to the views of a scan. A commit that was handed out before is skipped. */
function deliver(
  feed: Feed,
  batch: LogBatch,
  decode: FactDecoder,
  { applied, aroundCommit }: ProjectionObserver = {},
): void {
  feed.routes ??= createRoutes(feed.views);
  for (const commit of batch.commits) {
    if (!isAfter(commit.position, feed.position)) continue;
    feed.position = commit.position;
    const views = feed.routes(commit.stream);
    if (views.length === 0) continue;
    if (aroundCommit === undefined) deliverCommit(views, commit, decode);
    else aroundCommit({ commit, views }, () => deliverCommit(views, commit, decode));
    if (applied !== undefined) for (const { projection } of views) applied(projection.name);
  }
  feed.position = latest(feed.position, batch.through);
  for (const view of feed.views) view.reached(feed.position, batch.pending === 0);
}

function deliverCommit(views: readonly View[], commit: RecordedCommit, decode: FactDecoder): void {
  let facts: FactCommit;
  try {
    facts = decode(commit);
  } catch (error) {
    for (const view of views) view.unapplied(commit, error);
    return;
  }
  for (const view of views) view.apply(facts);
}

/** Waits for the views that have too much to store; one that has ended is not waited for. */
async function backPressure(feed: Feed): Promise<void> {
  for (const view of feed.views) await view.backPressure();
}
