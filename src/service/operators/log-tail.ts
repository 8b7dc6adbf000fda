import type { LogPart, LogTail, LogWish } from '../../api/operators/ports.ts';
import {
  BEGINNING,
  before,
  bytesOf,
  isAfter,
  type Log,
  latest,
  type Position,
  positionOf,
  type RecordedCommit,
  type Runtime,
} from '../../eventstore/index.ts';
import { type CommitDescription, describeCommit } from './describe.ts';

/** So many commits of the log's end are kept while somebody looks on, for those who come or come back. */
const KEPT = 1_000;
/** What may wait for one reader; the oldest give way, and are counted. */
const WAITING = 500;
/** What is kept, and what waits for one reader, is no more than about this, in bytes of the log. */
const MOST_BYTES = 16 * 2 ** 20;
/** A reader gets at most so many at once, and these no faster than this: 500 a second. */
const AT_ONCE = 100;
const PAUSE_MS = 200;

interface Reader {
  /** Takes what it wants of these; of the first ones no more than it has wished for. */
  offer(commits: readonly RecordedCommit[]): void;
  fail(error: unknown): void;
}

/**
 * The log as it grows, read once for all who look on, and not at all while nobody does.
 * @throws LogUnavailable to every reader when it cannot be read; whoever comes next begins anew
 */
export function createLogTail({ log, runtime }: { readonly log: Log; readonly runtime: Runtime }): LogTail {
  const readers = new Set<Reader>();
  let kept: RecordedCommit[] = [];
  let bytes = 0;
  /** Whether what was there at the start is read. */
  let isThere = false;
  let reading: AbortController | undefined;

  const take = (commits: readonly RecordedCommit[]): void => {
    kept.push(...commits);
    bytes += sizeOf(commits);
    if (kept.length > 2 * KEPT || bytes > 2 * MOST_BYTES) {
      kept = kept.slice(-within(kept, KEPT));
      bytes = sizeOf(kept);
    }
    if (isThere) for (const reader of readers) reader.offer(commits);
  };
  const read = async (signal: AbortSignal): Promise<void> => {
    const target = await log.head();
    let reached: Position = before(target, KEPT);
    const arrive = (): void => {
      if (isThere || isAfter(target, reached)) return;
      isThere = true;
      for (const reader of readers) reader.offer(kept);
    };
    arrive();
    for await (const { commits, through, pending } of log.scan({ after: reached, follow: true, signal })) {
      if (signal.aborted) return;
      // The log's own messages are of no aggregate.
      take(commits.filter(({ stream }) => stream.category !== ''));
      reached = pending === 0 ? latest(through, target) : through;
      arrive();
    }
  };
  const stop = (): void => {
    reading?.abort();
    reading = undefined;
    [kept, bytes] = [[], 0];
    isThere = false;
  };
  const begin = (): void => {
    if (reading !== undefined) return;
    const own = new AbortController();
    reading = own;
    read(own.signal).catch((error: unknown) => {
      if (own.signal.aborted) return;
      stop();
      for (const reader of readers) reader.fail(error);
      readers.clear();
    });
  };

  return {
    watch: (wish) => {
      const { reader, next, end } = createReader(wish, runtime);
      readers.add(reader);
      if (isThere) reader.offer(kept);
      begin();
      return {
        next,
        close: () => {
          end();
          readers.delete(reader);
          if (readers.size === 0) stop();
        },
      };
    },
  };
}

const sizeOf = (commits: readonly RecordedCommit[]): number =>
  commits.reduce((sum, commit) => sum + bytesOf(commit), 0);

/** How many of the newest there may be: one at least, however large it is. */
function within(commits: readonly RecordedCommit[], most: number): number {
  let [count, bytes] = [0, 0];
  for (const commit of commits.toReversed()) {
    bytes += bytesOf(commit);
    if (count === most || (count > 0 && bytes > MOST_BYTES)) break;
    count++;
  }
  return count;
}

function createReader(wish: LogWish, runtime: Runtime) {
  const since = wish.after === undefined ? BEGINNING : positionOf(wish.after);
  const waiting: RecordedCommit[] = [];
  let omitted = 0;
  let isFirst = true;
  let isFull = false;
  let over: { readonly error?: unknown } | undefined;
  let wake = (): void => undefined;

  const end = (why: { readonly error?: unknown } = {}): void => {
    over ??= why;
    wake();
  };
  const reader: Reader = {
    offer: (commits) => {
      const wanted = commits.filter((commit) => isAfter(commit.position, since) && matches(wish, commit));
      const most = isFirst ? Math.min(WAITING, wish.last) : WAITING;
      waiting.push(...wanted);
      const left = waiting.splice(0, waiting.length - within(waiting, most));
      // What lies before the beginning that was wished for is not missed.
      if (!isFirst || wish.after !== undefined) omitted += left.length;
      isFirst = false;
      wake();
    },
    fail: (error) => end({ error }),
  };
  const next = async (): Promise<LogPart | undefined> => {
    if (isFull) await runtime.sleep(PAUSE_MS);
    for (;;) {
      if (over !== undefined) {
        if (over.error !== undefined) throw over.error;
        return undefined;
      }
      if (waiting.length > 0) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const commits = waiting.splice(0, AT_ONCE).map(shown);
    isFull = commits.length === AT_ONCE;
    const part = { commits, omitted };
    omitted = 0;
    return part;
  };
  return { reader, next, end: () => end() };
}

function matches({ category, id, type, actor }: LogWish, commit: RecordedCommit): boolean {
  if (category !== undefined && category !== commit.stream.category) return false;
  if (id !== undefined && id !== commit.stream.id) return false;
  if (type === undefined && actor === undefined) return true;
  return decisionsOf(commit).some(
    (decision) =>
      (actor === undefined || decision.actor === actor) &&
      (type === undefined || decision.events.some((event) => event.type === type)),
  );
}

/** None of what cannot be read: its place in the log is worth a line. */
function decisionsOf(commit: RecordedCommit): RecordedCommit['decisions'] {
  try {
    return commit.decisions;
  } catch {
    return [];
  }
}

function shown(commit: RecordedCommit): CommitDescription {
  const { stream, position, previous, commitId, foreign } = commit;
  return describeCommit({ stream, position, previous, commitId, foreign, decisions: decisionsOf(commit) });
}
