import {
  backoffMs,
  isAfter,
  type Log,
  latest,
  mayHeal,
  type Position,
  type Runtime,
} from '../eventstore/index.ts';
import type { Projection, ProjectionSettings, Projections } from '../projections/engine/index.ts';

/** Knows which commits were the last that concern views that other processes keep. */
export interface Follower {
  /** As `Projections.coveredBy`, of any bucket and group. */
  readonly coveredBy: Projections['coveredBy'];
  stop(): void;
}

/**
 * Follows the log from its end on without decoding anything: so a query that demands a position need not wait for a
 * checkpoint there, which another process would write later, where nothing has concerned the view since an earlier one.
 */
export function followLog(deps: {
  readonly log: Log;
  readonly runtime: Runtime;
  readonly views: readonly Projection[];
  readonly settings: Pick<ProjectionSettings, 'backoffBaseMs' | 'backoffCapMs'>;
}): Follower {
  const { log, runtime, views, settings } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  /** By category. */
  const last = new Map<string, Position>();
  /** From where to where it has read; undefined while it cannot. */
  let read: { readonly from: Position; readonly to: Position } | undefined;
  let waiting: (() => void)[] = [];

  const moveTo = (next: typeof read): void => {
    read = next;
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  const follow = async (): Promise<void> => {
    const { from, to: after } = read ?? (await beginning());
    for await (const { commits, through } of log.scan({ after, follow: true, signal })) {
      for (const { stream, position } of commits) last.set(stream.category, position);
      moveTo({ from, to: latest(read?.to ?? after, through) });
    }
  };
  const beginning = async () => {
    const head = await log.head();
    return { from: head, to: head };
  };
  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const before = read;
      const error = await follow().catch((reason: unknown) => reason);
      // Without it queries wait for checkpoints.
      if (signal.aborted || (error !== undefined && !mayHeal(error))) return moveTo(undefined);
      if (read !== before) attempt = 0;
      await runtime.sleep(backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs));
    }
  };
  /** What was stored before it began may concern every view. */
  const coveringOf = ({ sources }: Projection, position: Position): Position => {
    if (read === undefined) return position;
    const lasts = sources.flatMap(({ category }) => last.get(category) ?? []);
    const covering = lasts.reduce(latest, read.from);
    return isAfter(covering, position) ? position : covering;
  };
  const seen = async (position: Position): Promise<void> => {
    while (read !== undefined && isAfter(position, read.to))
      await new Promise<void>((resolve) => waiting.push(resolve));
  };

  void run();
  return {
    coveredBy: (name, _bucket, _index, position) => {
      const view = views.find((one) => one.name === name);
      if (view === undefined || read === undefined) return undefined;
      if (!isAfter(position, read.to)) return coveringOf(view, position);
      return seen(position).then(() => coveringOf(view, position));
    },
    stop: () => stopping.abort(),
  };
}
