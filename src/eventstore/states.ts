import type { Message } from '@bufbuild/protobuf';
import type { Decider, Rejection } from './decider.ts';
import { type Folded, foldCommit, unborn } from './fold.ts';
import type { Log, RecordedCommit } from './log.ts';
import type { Runtime } from './runtime.ts';
import type { StreamRef } from './stream.ts';

type D<S, C, E extends Message, R extends Rejection> = Decider<S, C, E, R>;

/** What is known of aggregates: a bounded cache in front of the log. Everything here may be stale; only an append validates it. */
export interface States {
  /** The best guess without asking the leader: cached, or folded from the log. */
  guess<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
  ): Promise<Folded<S>>;
  /** What the cache holds. */
  cached<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
  ): Folded<S> | undefined;
  /** Folds in everything that was acknowledged before this call, in place. */
  refresh<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): Promise<void>;
  /** Keeps an existing aggregate for the next command. */
  keep(stream: StreamRef, folded: Folded<unknown>): void;
  /** The state as it was at a version that exists, from the log. */
  at<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    version: number,
  ): Promise<S>;
}

/** The name of an aggregate within one process. */
export function keyOf(stream: StreamRef): string {
  return `${stream.category}/${stream.id}`;
}

/** @param cacheEntries how many aggregates are kept, the least recently used go first; 0 keeps none */
export function createStates(deps: { log: Log; runtime: Runtime; cacheEntries: number }): States {
  const { log, runtime, cacheEntries } = deps;
  const cache = new Map<string, Folded<unknown>>();

  const cached: States['cached'] = <S>(_decider: unknown, stream: StreamRef) => {
    const key = keyOf(stream);
    const hit = cache.get(key);
    if (hit === undefined) return undefined;
    cache.delete(key);
    cache.set(key, hit);
    // The key names the category, and a category has one decider.
    return hit as Folded<S>;
  };

  const keep: States['keep'] = (stream, folded) => {
    if (folded.version === 0 || cacheEntries === 0) return;
    cache.set(keyOf(stream), folded);
    if (cache.size > cacheEntries) {
      for (const oldest of cache.keys()) {
        cache.delete(oldest);
        break;
      }
    }
  };

  async function advance<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    confirm: boolean,
  ): Promise<void> {
    const askedAt = runtime.now();
    for (;;) {
      const page = await log.read(stream, { after: folded.version, confirm });
      for (const commit of page.commits) foldCommit(decider, folded, commit);
      if (page.confirmedEnd) folded.confirmedAt = Math.max(folded.confirmedAt, askedAt);
      if (!page.more) break;
    }
    keep(stream, folded);
  }

  return {
    cached,
    keep,
    guess: async (decider, stream) => {
      const hit = cached(decider, stream);
      if (hit !== undefined) return hit;
      const folded = unborn(decider.initial);
      await advance(decider, stream, folded, false);
      return folded;
    },
    refresh: (decider, stream, folded) => advance(decider, stream, folded, true),
    at: async (decider, stream, version) => {
      const folded = unborn(decider.initial);
      for await (const commit of history(log, stream, version)) foldCommit(decider, folded, commit);
      return folded.state;
    },
  };
}

/**
 * An aggregate's commits from the first to `upTo` (a version; all by default), page by page.
 * @throws LogUnavailable
 */
export async function* history(
  log: Log,
  stream: StreamRef,
  upTo: number = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<RecordedCommit> {
  let after = 0;
  for (;;) {
    const page = await log.read(stream, { after, confirm: true });
    for (const commit of page.commits) {
      if (commit.position > upTo) return;
      after = commit.position;
      yield commit;
    }
    if (!page.more || after >= upTo) return;
  }
}
