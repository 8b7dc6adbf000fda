import { backoffMs, mayHeal, type Runtime } from '../../eventstore/index.ts';
import { pause } from '../engine/index.ts';
import type { Deliverable, DeliverySource } from './port.ts';

/** Who is handed what comes at the end of a source. */
export interface TailMember {
  /** False when there is no room: it reads on for itself, from where it was. */
  push(event: Deliverable): boolean;
  /** Nothing more up to here. */
  through(source: string, position: number): void;
}

/** The one reader of a source's end in this process: whoever is caught up is handed each event, and no one waits for another. */
export interface Tail {
  readonly source: DeliverySource;
  /** How often the stream was made anew under it: then a place has to be looked at, and its member has to join again. */
  readonly renewals: number;
  /** True when nothing lies between a position and what comes next: from now on the member is handed that. */
  join(member: TailMember, high: number): boolean;
  leave(member: TailMember): void;
}

/** How often is looked whether a stream is still the same. */
const LOOK_MS = 5_000;

/** Follows a source from its end on, until the signal fires. */
export function followTail(
  source: DeliverySource,
  runtime: Runtime,
  signal: AbortSignal,
  trouble: (what: string, error: unknown) => void,
): Tail {
  const members = new Set<TailMember>();
  let position = Number.POSITIVE_INFINITY;
  let renewals = 0;

  const hand = (event: Deliverable): void => {
    position = event.position;
    for (const member of members) if (!member.push(event)) members.delete(member);
  };
  let known: string | undefined;
  const incarnation = async (): Promise<string> => (await source.lineage()).incarnation;
  /** A reader waits for ever at a place that a new stream may never reach. */
  const watchOver = async (reading: AbortController): Promise<void> => {
    for (;;) {
      await pause(runtime, LOOK_MS, reading.signal);
      if (reading.signal.aborted) return;
      const now = await incarnation().catch(() => known);
      if (now === known) continue;
      position = Number.POSITIVE_INFINITY;
      members.clear();
      renewals++;
      reading.abort();
    }
  };
  const read = async (): Promise<void> => {
    const reading = new AbortController();
    const stop = (): void => reading.abort();
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (position === Number.POSITIVE_INFINITY) {
        known = await incarnation();
        position = await source.head();
      }
      void watchOver(reading);
      for await (const { events, through } of source.follow(position, reading.signal)) {
        for (const event of events) hand(event);
        position = Math.max(position, through);
        for (const member of members) member.through(source.name, position);
      }
    } finally {
      reading.abort();
      signal.removeEventListener('abort', stop);
    }
  };
  const run = async (): Promise<void> => {
    for (let attempt = 0; !signal.aborted; attempt++) {
      await read().catch((error: unknown) => {
        if (!mayHeal(error)) trouble(`following ${source.name}`, error);
      });
      if (!signal.aborted) await runtime.sleep(backoffMs(runtime, attempt, 50, 2_000));
    }
  };
  void run();

  return {
    source,
    get renewals() {
      return renewals;
    },
    join: (member, high) => {
      if (high < position) return false;
      members.add(member);
      return true;
    },
    leave: (member) => {
      members.delete(member);
    },
  };
}
