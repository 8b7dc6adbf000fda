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

/** When the first commit at a position or behind it was decided; a foreign message does not say. @throws LogUnavailable */
async function decidedFrom(log: Log, position: Position): Promise<number> {
  for (let at = position; ; ) {
    const next = await log.next(at);
    if (next === undefined) return Number.POSITIVE_INFINITY;
    if (next.foreign === undefined) return decidedAt(next);
    at = ahead(next.position, 1);
  }
}

/** The clocks of those who write events may differ; a start by time goes back by so much more. */
const CLOCKS_DIFFER_MS = 60_000;

/**
 * A position before everything that was decided at a time or later, found by halving: some twenty requests. It lies a
 * minute earlier than it must, since clocks may differ by so much.
 * @param time milliseconds since the Unix epoch
 * @throws LogUnavailable
 */
export async function positionBefore(log: Log, time: number): Promise<Position> {
  let low = BEGINNING;
  let high = await log.head();
  while (isAfter(high, low)) {
    const middle = between(low, high);
    if ((await decidedFrom(log, middle)) < time - CLOCKS_DIFFER_MS) low = middle;
    else high = before(middle);
  }
  return low;
}
