import type { Message } from '@bufbuild/protobuf';
import { createBoundedCache } from './cache/bounded-cache.ts';
import { heapBytesOf } from './cache/heap-size.ts';
import type { Loaded } from './command.ts';
import type { Decider, Rejection } from './decider.ts';
import { LogUnavailable } from './errors.ts';
import { emptyFold, type Folded, foldCommit, loadAt, refold } from './fold.ts';
import type { Log, ReadOptions, RecordedCommit } from './log.ts';
import type { StoreObserver } from './observer.ts';
import { versionAt } from './position.ts';
import type { Runtime } from './runtime.ts';
import { putSection } from './snapshots/sections.ts';
import type { Snapshots } from './snapshots/snapshots.ts';
import { keyOf, type StreamRef } from './stream.ts';

/** Tells an observer once of each state where it came from, which for a cold one shows only later. */
export interface LoadObserver {
  /** A snapshot was loaded, or nothing was at hand. */
  cold(folded: object, from: 'snapshot' | 'nothing'): void;
  /** `commits` were folded in from the log; `exists`: whether there is an aggregate now. */
  read(folded: object, commits: number, exists: boolean): void;
  /** It was good enough to append on, or is kept for other reasons. */
  kept(folded: object): void;
}

/** Nothing without an observer that asks for it. */
export function observeLoads(observer: StoreObserver | undefined): LoadObserver | undefined {
  if (observer?.loaded === undefined && observer?.snapshotAge === undefined) return undefined;
  const pending = new WeakMap<object, 'snapshot' | 'nothing'>();
  return {
    cold: (folded, from) => {
      if (from === 'snapshot') observer.loaded?.('snapshot');
      pending.set(folded, from);
    },
    read: (folded, commits, exists) => {
      const from = pending.get(folded);
      if (from === undefined) return;
      pending.delete(folded);
      if (from === 'snapshot') observer.snapshotAge?.(commits);
      else observer.loaded?.(exists ? 'log' : 'new');
    },
    kept: (folded) => {
      if (pending.get(folded) !== 'snapshot') return;
      pending.delete(folded);
      observer.snapshotAge?.(0);
    },
  };
}

type D<S, C, E extends Message, R extends Rejection> = Decider<S, C, E, R>;

/** What is known of aggregates: a bounded cache in front of the log. Everything here may be stale; only an append validates it. */
export interface States {
  /** The best guess without asking the leader: cached, a snapshot, or folded from the log. */
  guess<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
  ): Promise<Folded<S>>;
  /** What the cache holds. */
  cached<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
  ): Folded<S> | undefined;
  /**
   * What is known of an aggregate at a commit of it or later, with that commit folded in where it is the next one, and
   * nobody asked; undefined where something between is not known.
   * @throws RangeError for another aggregate's commit; UnknownEventType, CorruptCommit
   */
  asOf<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    commit: RecordedCommit,
  ): Folded<S> | undefined;
  /**
   * Folds in everything that was acknowledged before this call, in place. An append, which validates what it is decided
   * on, needs only what the `leader` has.
   * @returns whether it is confirmed that nothing is missing
   */
  refresh<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    asked?: 'leader',
  ): Promise<boolean>;
  /** Loads the sections that the commands read and the state lacks; whoever decides on it then must not wait before. */
  ready<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    commands: readonly C[],
  ): Promise<void>;
  /** What is at hand without folding the log: cached, a snapshot, or the aggregate before its first event. */
  atHand<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
  ): Promise<Folded<S>>;
  /** Keeps an aggregate that a commit was just appended to for the next command, and its snapshot for the next process. */
  keep<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
  ): void;
  /** Drops what is cached of an aggregate. */
  forget(stream: StreamRef): void;
  /** The aggregate as it was at a version, from the log. */
  at<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    version: number,
  ): Promise<Loaded<S>>;
}

export interface StatesDeps {
  readonly log: Log;
  readonly runtime: Runtime;
  /** How many aggregates are kept at the most, those go first that were not used for long; 0 keeps none. */
  readonly cacheEntries: number;
  /** The same as memory that they take. */
  readonly cacheMegabytes: number;
  /** Without it a cold aggregate is folded from its first event. */
  readonly snapshots?: Snapshots | undefined;
  readonly observer?: StoreObserver | undefined;
}

const MEGABYTE = 1_048_576;
/** What is known of an aggregate besides its state and its commands, and its place in the cache. */
const ENTRY_BYTES = 600;

/**
 * How many bytes of memory an aggregate takes. Its state is reckoned again when its commands have become a sixteenth more:
 * what grows with them is then never far behind, and who has many costs little.
 */
function bytesOf(folded: Folded<unknown>): number {
  const { count, words } = folded.commands;
  let { reckoned } = folded;
  if (reckoned === undefined || count > reckoned.until) {
    reckoned = { bytes: heapBytesOf(folded.state, folded.cloned), until: count + Math.floor(count / 16) };
    folded.reckoned = reckoned;
  }
  return reckoned.bytes + words.byteLength + ENTRY_BYTES;
}

export function createStates(deps: StatesDeps): States {
  const { log, runtime, cacheEntries, cacheMegabytes, snapshots, observer } = deps;
  const loads = observeLoads(observer);
  const limit = cacheMegabytes * MEGABYTE;
  const cache = createBoundedCache<Folded<unknown>>(cacheEntries, { limit, of: bytesOf });

  const cached: States['cached'] = <S>(_decider: unknown, stream: StreamRef) => {
    const hit = cache.get(keyOf(stream));
    if (hit === undefined) return undefined;
    observer?.loaded?.('cache');
    // The key names the category, and a category has one decider.
    return hit as Folded<S>;
  };

  const keepCached = (stream: StreamRef, folded: Folded<unknown>): void => {
    if (cacheEntries === 0) return;
    cache.set(keyOf(stream), folded);
    observer?.cached?.(cache.size(), cache.weight());
  };

  const keep: States['keep'] = (decider, stream, folded) => {
    if (folded.version === 0 || folded.untrusted) return;
    loads?.kept(folded);
    const { cold } = folded;
    folded.cold = false;
    // Who found it cold is likely to find it cold again, or to be one of several who do: with an old snapshot each of
    // their commands is refused once.
    if (cold) snapshots?.write(decider, stream, folded);
    else snapshots?.offer(decider, stream, folded);
    keepCached(stream, folded);
  };

  /** Whoever appends keeps the snapshot up to date: a reader offers only what it found cold and had to read. */
  const keepRead = <S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    offered: boolean,
  ): void => {
    if (folded.version === 0 || folded.untrusted) return;
    loads?.kept(folded);
    if (offered) snapshots?.offer(decider, stream, folded);
    keepCached(stream, folded);
  };

  async function advance<S, C, E extends Message, R extends Rejection>(
    decider: D<S, C, E, R>,
    stream: StreamRef,
    folded: Folded<S>,
    confirm: ReadOptions['confirm'],
  ): Promise<boolean> {
    const askedAt = runtime.now();
    const before = folded.version;
    const wasNew = folded.confirmedAt === 0;
    let read = 0;
    let confirmed = false;
    for (;;) {
      const page = await log.read(stream, { after: folded.version, confirm });
      // What it lacks would be taken for absence.
      if (page.witnessed !== undefined && versionAt(page.witnessed) < folded.version)
        throw new LogUnavailable(
          `reading ${keyOf(stream)}: the log ends before its version, so it is another log`,
        );
      for (const commit of page.commits) foldCommit(decider, folded, commit);
      read += page.commits.length;
      confirmed = page.confirmedEnd;
      if (confirmed) folded.confirmedAt = Math.max(folded.confirmedAt, askedAt);
      if (!page.more) break;
    }
    loads?.read(folded, read, folded.version > 0);
    const hasGrown = folded.version > before;
    if (hasGrown || !cache.has(keyOf(stream))) keepRead(decider, stream, folded, hasGrown && wasNew);
    return confirmed;
  }

  const atHand: States['atHand'] = async (decider, stream) => {
    const warm = cached(decider, stream);
    if (warm !== undefined) return warm;
    const snapshot = await snapshots?.load(decider, stream);
    const folded = snapshot ?? emptyFold(decider.initial);
    folded.cold = true;
    loads?.cold(folded, snapshot === undefined ? 'nothing' : 'snapshot');
    return folded;
  };

  const asOf: States['asOf'] = (decider, stream, commit) => {
    if (keyOf(commit.stream) !== keyOf(stream))
      throw new RangeError(`a commit of ${keyOf(commit.stream)} says nothing of ${keyOf(stream)}`);
    const folded =
      cached(decider, stream) ?? (commit.previous === 0 ? emptyFold(decider.initial) : undefined);
    if (folded !== undefined && folded.version === commit.previous) {
      foldCommit(decider, folded, commit);
      keepRead(decider, stream, folded, false);
    }
    return folded === undefined || folded.version < versionAt(commit.position) ? undefined : folded;
  };

  const refresh: States['refresh'] = (decider, stream, folded, asked) =>
    advance(decider, stream, folded, asked ?? true);

  const ready: States['ready'] = async (decider, stream, folded, commands) => {
    const { sections } = decider;
    if (sections === undefined) return;
    const lacking = () =>
      new Set(commands.map((c) => sections.missing(folded.state, c)).filter((i) => i !== undefined));
    // Whoever reads beside this may bring the state to a later generation, which lacks the same sections.
    for (let missing = [...lacking()]; missing.length > 0; missing = [...lacking()]) {
      const stored = await Promise.all(missing.map((i) => snapshots?.section(decider, stream, folded, i)));
      // Another process has stored it at a commit that is not known here yet.
      if (stored.some((s) => s !== undefined && s.version > folded.version)) {
        await refresh(decider, stream, folded, 'leader');
      }
      if (!missing.every((index, i) => putSection(sections, folded, index, stored[i]))) {
        observer?.loaded?.('log');
        await refold(log, decider, stream, folded);
      }
      folded.reckoned = undefined;
      if (cache.has(keyOf(stream))) keepCached(stream, folded);
    }
  };

  return {
    cached,
    asOf,
    atHand,
    ready,
    keep,
    forget: (stream) => cache.delete(keyOf(stream)),
    guess: async (decider, stream) => {
      const folded = await atHand(decider, stream);
      if (folded.version === 0) await advance(decider, stream, folded, false);
      else if (!cache.has(keyOf(stream))) keepCached(stream, folded);
      return folded;
    },
    refresh,
    at: (decider, stream, version) => loadAt(log, decider, stream.id, { version }),
  };
}
