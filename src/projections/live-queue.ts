import type { LiveEntry } from './live-fold.ts';
import type { LiveEnd } from './read-models.ts';

/** What one client may have waiting. */
export interface QueueBounds {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

/** Commits that wait for one client, up to its bounds. */
export interface LiveQueue {
  /** Takes a commit in, or ends the queue as `slow` and forgets what waits: the client resumes behind what it has. */
  push(entry: LiveEntry): void;
  /** The oldest one, once there is one, or why there will be none. One call at a time. */
  next(): Promise<LiveEntry | LiveEnd>;
  end(why: LiveEnd): void;
  /** Nothing waits, and nothing was forgotten. */
  idle(): boolean;
  /** Resolves when it has ended. */
  readonly over: Promise<void>;
}

export function createLiveQueue({ maxEvents, maxBytes }: QueueBounds): LiveQueue {
  let waiting: LiveEntry[] = [];
  let taken = 0;
  let events = 0;
  let bytes = 0;
  let ended: LiveEnd | undefined;
  let wake: (() => void) | undefined;
  let resolveOver = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    resolveOver = resolve;
  });

  const end = (why: LiveEnd): void => {
    ended ??= why;
    resolveOver();
    waiting = [];
    taken = 0;
    wake?.();
  };
  const take = (): LiveEntry | undefined => {
    const entry = waiting[taken];
    if (entry === undefined) return undefined;
    taken++;
    events -= entry.statuses.length;
    bytes -= entry.bytes;
    // Shifting one by one would move the rest each time.
    if (taken === waiting.length) {
      waiting = [];
      taken = 0;
    }
    return entry;
  };

  return {
    push: (entry) => {
      if (ended !== undefined) return;
      events += entry.statuses.length;
      bytes += entry.bytes;
      if (events > maxEvents || bytes > maxBytes) return end('slow');
      waiting.push(entry);
      wake?.();
    },
    next: async () => {
      for (;;) {
        if (ended !== undefined) return ended;
        const entry = take();
        if (entry !== undefined) return entry;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    },
    end,
    idle: () => ended === undefined && taken === waiting.length,
    over,
  };
}
