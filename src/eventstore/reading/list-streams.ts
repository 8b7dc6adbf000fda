import { EventStoreError } from '../errors.ts';
import type { Log, RecordedCommit } from '../log.ts';
import { ahead, BEGINNING, before, between, isAfter, type Position } from '../position.ts';

/** An aggregate by its first commit. */
export interface ListedStream {
  readonly id: string;
  /** Of its first commit: the cursor behind which the next page begins. */
  readonly position: Position;
  /** When that was decided, in milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

/** Which page of a category's aggregates is wanted. */
export interface ListStreamsOptions {
  /** Only aggregates that came into being behind this position; with `positionBefore`, from about a time on. */
  readonly after?: Position | undefined;
  /** At most so many, 1 or more; default: all. */
  readonly limit?: number | undefined;
}

/**
 * The aggregates of a category in the order in which they came into being, as of now. Pages are stable under writes: the
 * last position of one is where the next goes on. It reads the category's commits, some 100,000 a second, and stops at
 * the limit, so a page costs what lies between its aggregates: for lists that users see keep a view.
 * An aggregate is left out when a foreign message came before its first commit.
 * @throws LogUnavailable, CorruptCommit; EventStoreError `read/invalid`
 */
export async function* listStreams(
  log: Log,
  category: string,
  { after = BEGINNING, limit = Number.POSITIVE_INFINITY }: ListStreamsOptions = {},
): AsyncGenerator<ListedStream> {
  if (!(limit >= 1))
    throw new EventStoreError('read/invalid', `The option limit is ${limit}; use 1 or more.`);
  let left = limit;
  for await (const { commits } of log.scan({ after, filter: { category } })) {
    for (const commit of commits) {
      if (commit.previous !== 0 || commit.foreign !== undefined) continue;
      const { stream, position } = commit;
      yield { id: stream.id, position, createdAt: decidedAt(commit) };
      if (--left === 0) return;
    }
  }
}

const decidedAt = (commit: RecordedCommit): number => Number(commit.decisions[0]?.time ?? 0);

/** When the first commit at a position or behind it was decided that says so: what is foreign or damaged does not. */
async function decidedFrom(log: Pick<Log, 'next'>, position: Position): Promise<number> {
  for (let at = position; ; ) {
    const next = await log.next(at);
    if (next === undefined) return Number.POSITIVE_INFINITY;
    const decided = timeOf(next);
    if (decided > 0) return decided;
    at = ahead(next.position, 1);
  }
}

/** When a commit was decided, in milliseconds since the Unix epoch; 0 when it does not say. @internal */
export function timeOf(commit: RecordedCommit): number {
  try {
    return decidedAt(commit);
  } catch {
    return 0;
  }
}

/** The clocks of those who write events may differ; a start by time goes back by so much more. */
const CLOCKS_DIFFER_MS = 60_000;

/**
 * A position before everything that was decided at a time or later, found by halving: some twenty requests.
 * @param time milliseconds since the Unix epoch
 * @param clocksDifferMs how much earlier it may lie than it must, since the clocks of those who write differ; with 0 it is
 *   one of the places at which the log passes the time
 * @throws LogUnavailable
 */
export async function positionBefore(
  log: Pick<Log, 'next' | 'head'>,
  time: number,
  clocksDifferMs = CLOCKS_DIFFER_MS,
): Promise<Position> {
  let low = BEGINNING;
  let high = await log.head();
  while (isAfter(high, low)) {
    const middle = between(low, high);
    if ((await decidedFrom(log, middle)) < time - clocksDifferMs) low = middle;
    else high = before(middle);
  }
  return low;
}
