import { bytesOf } from '../codec/stored-commit.ts';
import { mayHeal } from '../errors.ts';
import type { Log, LogBatch, RecordedCommit, ScanOptions } from '../log.ts';
import { BEGINNING, before, distance, isAfter, latest, type Position } from '../position.ts';
import { backoffMs, type Runtime } from '../runtime.ts';
import { groupOfSlot, type LogFilter, slotOf } from '../stream.ts';

/** What is kept of the log's end for those who follow it: half of these at least, once there was so much. */
export interface KeptEnd {
  readonly commits: number;
  readonly bytes: number;
}

const KEPT: KeptEnd = { commits: 2_048, bytes: 8 * 2 ** 20 };

/** How far one who follows has come. */
interface Place {
  readonly filter: LogFilter;
  /** So many positions without anything that matches are told of. */
  readonly tellAfter: number;
  /** Nothing that matches is missing up to here. */
  seen: Position;
  /** What its last batch said. */
  told: { readonly through: Position; readonly pending: number };
  /** Ends its wait for more. */
  wake: () => void;
}

/** The log's end as one reader of the whole log sees it, for all who stand there. */
interface Tail {
  /** Whether there is everything behind a position; never before it has read something, nor once it is over. */
  holds(position: Position): boolean;
  /** Whether it will say more of what it holds. */
  readonly isBeginning: boolean;
  /** What lies behind a place, which moves on; undefined when there is nothing to be told. */
  take(place: Place): LogBatch | undefined;
  /** Waits until there may be something to be told, or the place is woken. */
  grown(place: Place): Promise<void>;
  stop(): void;
}

/**
 * `scan` of a log, where all who follow it in this process read its end together: each commit comes once and is decoded
 * once (protocol 38). Who is further behind than what is kept reads alone until it has come up. There is a common reader
 * while somebody follows the whole log, so nobody is made to read more than without it.
 */
export function shareScans({
  log,
  runtime,
  kept = KEPT,
}: {
  readonly log: Pick<Log, 'scan' | 'head'>;
  readonly runtime: Runtime;
  readonly kept?: KeptEnd | undefined;
}): Log['scan'] {
  let tail: Tail | undefined;
  let whole = 0;

  /** @returns false when it was ended, true when it has come up with the others */
  const alone = async function* (options: ScanOptions, place: Place): AsyncGenerator<LogBatch, boolean> {
    for await (const batch of log.scan({ ...options, after: place.seen })) {
      place.seen = latest(place.seen, batch.through);
      place.told = { through: place.seen, pending: batch.pending };
      yield batch;
      if (tail?.holds(place.seen)) return true;
    }
    return false;
  };
  const together = async function* (options: ScanOptions, place: Place): AsyncGenerator<LogBatch> {
    const { signal } = options;
    while (!signal?.aborted) {
      if (tail?.holds(place.seen)) {
        const batch = tail.take(place);
        if (batch === undefined) await tail.grown(place);
        else yield batch;
      } else if (tail?.isBeginning) await tail.grown(place);
      else if (!(yield* alone(options, place))) return;
    }
  };
  const follow = async function* (options: ScanOptions): AsyncGenerator<LogBatch> {
    const { after, filter = {}, signal } = options;
    const isWhole = filter.category === undefined && (filter.group?.count ?? 1) === 1;
    const told = { through: after, pending: Number.POSITIVE_INFINITY };
    const tellAfter = isWhole ? 1 : kept.commits / 4;
    const place: Place = { filter, tellAfter, seen: after, told, wake: () => undefined };
    const onAbort = (): void => place.wake();
    signal?.addEventListener('abort', onAbort);
    if (isWhole && ++whole === 1) tail = startTail(log, runtime, kept);
    try {
      yield* together(options, place);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (isWhole && --whole === 0) {
        tail?.stop();
        tail = undefined;
      }
    }
  };
  return (options) => (options.follow === true ? follow(options) : log.scan(options));
}

function startTail(log: Pick<Log, 'scan' | 'head'>, runtime: Runtime, kept: KeptEnd): Tail {
  const stopping = new AbortController();
  const { signal } = stopping;
  const end = createEnd(kept);
  const waiting = new Set<Place>();
  let state: 'beginning' | 'reading' | 'over' = 'beginning';

  const wake = (wanted: (place: Place) => boolean): void => {
    for (const place of waiting) if (wanted(place)) place.wake();
  };
  const read = async (): Promise<void> => {
    if (state === 'beginning') end.begin(before(await log.head(), kept.commits / 2));
    for await (const batch of log.scan({ after: end.through, follow: true, signal })) {
      const fresh = end.add(batch);
      const wasBeginning = state === 'beginning';
      state = 'reading';
      wake((place) => wasBeginning || end.isNews(place, fresh));
    }
  };
  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const { through } = end;
      const error = await read().catch((reason: unknown) => reason);
      // Whoever follows then reads alone, and meets the same fault.
      if (error !== undefined && !mayHeal(error)) break;
      if (end.through !== through) attempt = 0;
      if (!signal.aborted) await runtime.sleep(backoffMs(runtime, attempt, BACKOFF_MS, BACKOFF_CAP_MS));
    }
    state = 'over';
    wake(() => true);
  };
  void run();

  return {
    holds: (position) => state === 'reading' && !isAfter(end.after, position),
    get isBeginning() {
      return state === 'beginning';
    },
    take: end.take,
    grown: (place) =>
      new Promise((resolve) => {
        place.wake = () => {
          waiting.delete(place);
          place.wake = () => undefined;
          resolve();
        };
        waiting.add(place);
      }),
    stop: () => {
      stopping.abort();
      state = 'over';
      wake(() => true);
    },
  };
}

const BACKOFF_MS = 20;
const BACKOFF_CAP_MS = 1_000;

/** A commit with what filters ask of it, computed once. */
interface Kept {
  readonly commit: RecordedCommit;
  readonly category: string;
  readonly slot: number;
}

/** The commits behind one position, up to another. */
function createEnd(kept: KeptEnd) {
  let commits: Kept[] = [];
  let bytes = 0;
  let after = BEGINNING;
  let through = BEGINNING;
  let pending = 0;

  const makeRoom = (): void => {
    if (commits.length <= kept.commits && bytes <= kept.bytes) return;
    let gone = 0;
    for (const { commit } of commits) {
      if (commits.length - gone <= kept.commits / 2 && bytes <= kept.bytes / 2) break;
      bytes -= bytesOf(commit);
      after = commit.position;
      gone++;
    }
    commits = commits.slice(gone);
  };
  /** Whether a place without anything that matches is to be told how far it is, or that it is at the end. */
  const isDue = ({ told, tellAfter }: Place): boolean =>
    (pending === 0 && told.pending !== 0) || distance(told.through, through) >= tellAfter;

  return {
    get after() {
      return after;
    },
    get through() {
      return through;
    },
    begin: (position: Position): void => {
      [after, through] = [position, position];
    },
    /** @returns what was not there yet; a reader that starts again may repeat */
    add: (batch: LogBatch): readonly Kept[] => {
      const fresh: Kept[] = [];
      for (const commit of batch.commits) {
        if (!isAfter(commit.position, through)) continue;
        const { category, id } = commit.stream;
        fresh.push({ commit, category, slot: slotOf(id) });
        bytes += bytesOf(commit);
      }
      commits.push(...fresh);
      through = latest(through, batch.through);
      pending = batch.pending;
      makeRoom();
      return fresh;
    },
    isNews: (place: Place, fresh: readonly Kept[]): boolean =>
      isDue(place) || fresh.some((one) => isWanted(place.filter, one)),
    take: (place: Place): LogBatch | undefined => {
      const found: RecordedCommit[] = [];
      for (let at = firstBehind(commits, place.seen); at < commits.length; at++) {
        const one = commits[at];
        if (one !== undefined && isWanted(place.filter, one)) found.push(one.commit);
      }
      place.seen = latest(place.seen, through);
      if (found.length === 0 && !isDue(place)) return undefined;
      place.told = { through: place.seen, pending };
      return { commits: found, through: place.seen, pending };
    },
  };
}

function isWanted({ category, id, group }: LogFilter, one: Kept): boolean {
  if (category !== undefined && category !== one.category) return false;
  if (id !== undefined && id !== one.commit.stream.id) return false;
  return group === undefined || groupOfSlot(one.slot, group.count) === group.index;
}

/** Index of the first commit behind a position. */
function firstBehind(commits: readonly Kept[], position: Position): number {
  let low = 0;
  let high = commits.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const one = commits[middle];
    if (one !== undefined && !isAfter(one.commit.position, position)) low = middle + 1;
    else high = middle;
  }
  return low;
}
