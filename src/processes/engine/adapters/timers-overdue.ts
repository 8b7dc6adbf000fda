import { createGets } from '../../../eventstore/nats/gets.ts';
import type { Requests } from '../../../eventstore/nats/requests.ts';
import { timersStream } from './timers-stream.ts';

/** A timer this late, in milliseconds, was forgotten by somebody. */
const LATE_MS = 60_000;
const PAGE = 500;
const MAX_PAGES = 4;

/**
 * How many timers should have been handled more than a minute ago: schedules that did not fire, and fired ones that
 * nobody has handled. Looks at the 2,000 that were armed first, where late ones gather.
 * @throws LogUnavailable
 */
export async function countOverdueTimers(options: {
  readonly requests: Requests;
  /** The log's prefix. */
  readonly prefix: string;
  readonly timeoutMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}): Promise<number> {
  const { requests, prefix, timeoutMs, now } = options;
  const gets = createGets(requests, timersStream(prefix), timeoutMs);
  let overdue = 0;
  let seq = 1;
  for (let page = 0; page < MAX_PAGES; page++) {
    const messages = await gets.directBatch({ next_by_subj: `${prefix}t.>`, seq, batch: PAGE });
    for (const { data } of messages) if (isLate(data, now)) overdue++;
    const last = messages.at(-1);
    if (last === undefined || messages.length < PAGE) break;
    seq = last.seq + 1;
  }
  return overdue;
}

function isLate(data: Uint8Array, now: number): boolean {
  try {
    const { at } = JSON.parse(Buffer.from(data).toString('utf8')) as { at?: unknown };
    return typeof at === 'number' && at < now - LATE_MS;
  } catch {
    return false;
  }
}
