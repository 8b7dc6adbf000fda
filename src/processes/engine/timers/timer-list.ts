import { createGets, isStreamMissing, managerOf, type Requests } from '../../../eventstore/index.ts';
import { timersStream } from './nats-timers.ts';
import type { Timer } from './timers.ts';

/** A timer whose time has not come (`armed`), or that nobody has handled yet (`fired`). @internal */
export interface WaitingTimer extends Timer {
  readonly state: 'armed' | 'fired';
}

/** The timers that wait, for whoever looks. @throws LogUnavailable @internal */
export interface TimerList {
  /** Up to `most`: those that have fired, then those that were armed first; and how many there are in all. */
  first(most: number): Promise<{ readonly items: readonly WaitingTimer[]; readonly total: number }>;
  /** Those with an id, of every kind. */
  of(id: string): Promise<readonly WaitingTimer[]>;
}

export interface TimerListOptions {
  readonly requests: Requests;
  /** The log's prefix. */
  readonly prefix: string;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
}

const PAGE = 500;

/** Reads the stream of timers; where there is none, no timer waits. @internal */
export function createTimerList({ requests, prefix, timeoutMs }: TimerListOptions): TimerList {
  const stream = timersStream(prefix);
  const gets = createGets(requests, stream, timeoutMs);
  const held = async (): Promise<number | undefined> => {
    try {
      return (await (await managerOf(requests, timeoutMs)).streams.info(stream)).state.messages;
    } catch (error) {
      if (isStreamMissing(error)) return undefined;
      throw error;
    }
  };
  const read = async (subject: string, most: number): Promise<WaitingTimer[]> => {
    const found: WaitingTimer[] = [];
    for (let seq = 1; found.length < most; ) {
      const batch = Math.min(PAGE, most - found.length);
      const messages = await gets.directBatch({ next_by_subj: subject, seq, batch });
      found.push(...messages.flatMap((message) => timerIn(message) ?? []));
      const last = messages.at(-1);
      if (last === undefined || messages.length < batch) break;
      seq = last.seq + 1;
    }
    return found;
  };
  return {
    first: async (most) => {
      const total = await held();
      if (total === undefined) return { items: [], total: 0 };
      // A server stores a timer anew when it fires, behind all that are armed.
      const fired = await read(`${prefix}t.fire.>`, most);
      return { items: [...fired, ...(await read(`${prefix}t.schedule.>`, most - fired.length))], total };
    },
    of: async (id) => {
      if ((await held()) === undefined) return [];
      const found = await gets.directLast([`${prefix}t.fire.*.${id}`, `${prefix}t.schedule.*.${id}`]);
      return found.flatMap((message) => timerIn(message) ?? []);
    },
  };
}

/** Undefined for a message that is no timer. */
function timerIn(message: { readonly subject: string; readonly data: Uint8Array }): WaitingTimer | undefined {
  const [state, kind = '', id = ''] = message.subject.split('.').slice(1);
  try {
    const { at } = JSON.parse(Buffer.from(message.data).toString('utf8')) as { at?: unknown };
    return typeof at === 'number' ? { kind, id, at, state: state === 'fire' ? 'fired' : 'armed' } : undefined;
  } catch {
    return undefined;
  }
}

/** A timer this late, in milliseconds, was forgotten by somebody. */
const LATE_MS = 60_000;
/** So many are looked at, among which late ones gather. */
const LOOKED_AT = 2_000;

/**
 * How many timers should have been handled more than a minute ago: schedules that did not fire, and fired ones that
 * nobody has handled. Looks at 2,000: the fired ones, then those that were armed first.
 * @throws LogUnavailable
 */
export async function countOverdueTimers({
  now,
  ...options
}: TimerListOptions & {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}): Promise<number> {
  const { items } = await createTimerList(options).first(LOOKED_AT);
  return items.filter(({ at }) => at < now - LATE_MS).length;
}
