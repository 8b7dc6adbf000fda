import { backoffMs, mayHeal, type Runtime } from '../../eventstore/index.ts';
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
  /** True when nothing lies between a position and what comes next: from now on the member is handed that. */
  join(member: TailMember, high: number): boolean;
  leave(member: TailMember): void;
}

/** Follows a source from its end on, until the signal fires. */
export function followTail(
  source: DeliverySource,
  runtime: Runtime,
  signal: AbortSignal,
  trouble: (what: string, error: unknown) => void,
): Tail {
  const members = new Set<TailMember>();
  let position = Number.POSITIVE_INFINITY;

  const hand = (event: Deliverable): void => {
    position = event.position;
    for (const member of members) if (!member.push(event)) members.delete(member);
  };
  const read = async (): Promise<void> => {
    if (position === Number.POSITIVE_INFINITY) position = await source.head();
    for await (const { events, through } of source.follow(position, signal)) {
      for (const event of events) hand(event);
      position = Math.max(position, through);
      for (const member of members) member.through(source.name, position);
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
