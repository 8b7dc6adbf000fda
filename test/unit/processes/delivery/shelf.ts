import type { Lineage } from '../../../../src/eventstore/index.ts';
import type { Deliverable, DeliverySource, Events } from '../../../../src/processes/delivery/port.ts';
import { createWake } from '../../../../src/testing/world.ts';

/** A source in memory, which counts what is read of it. */
export interface Shelf extends DeliverySource {
  put(subject: string, type?: string): Deliverable;
  readonly all: readonly Deliverable[];
  readonly pages: () => number;
  /** It came back from a copy that ended there; what is put from then on has other ids. */
  putBack(last: number, lineage: Lineage): void;
}

const PAGE = 100;

export function createShelf(name = 'orders', now: () => number = Date.now, pageSize = PAGE): Shelf {
  const all: Deliverable[] = [];
  const grown = createWake();
  let pages = 0;
  let lineage: Lineage = { incarnation: 'first', former: [] };
  const after = (position: number, most = pageSize): Events => {
    const events = all.slice(position, position + most);
    return { events, through: events.at(-1)?.position ?? position };
  };
  return {
    name,
    all,
    pages: () => pages,
    put: (subject, type = 'test.happened') => {
      const position = all.length + 1;
      const time = now();
      const { incarnation } = lineage;
      const id = `${name}-${position}${incarnation === 'first' ? '' : `-${incarnation}`}`;
      const event = { source: name, position, id, type, subject, time };
      all.push({ ...event, body: () => JSON.stringify(event) });
      grown.all();
      return all[position - 1] as Deliverable;
    },
    putBack: (last, of) => {
      all.length = last;
      lineage = of;
    },
    lineage: async () => lineage,
    head: async () => all.length,
    page: async (position, subject) => {
      pages++;
      const { events, through } = after(position);
      return {
        events: events.filter((event) => subject === undefined || event.subject === subject),
        through,
      };
    },
    at: async (position) => all[position - 1],
    before: async (time) => all.findLastIndex((event) => event.time < time) + 1,
    follow: async function* (position, signal) {
      let at = position;
      while (!signal.aborted) {
        const next = after(at);
        if (next.events.length > 0) yield next;
        at = next.through;
        if (next.events.length === 0) await grown.next(signal);
      }
    },
  };
}
