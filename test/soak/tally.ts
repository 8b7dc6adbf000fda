import { setTimeout as delay } from 'node:timers/promises';
import { type OrderState, order } from '../../src/domain/order.ts';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { numberOf, positionOf } from '../../src/eventstore/position.ts';
import { eventsOf, whatIsOpen } from '../support/order-invariants.ts';

/** Follows the orders of the log while it grows. */
export interface Tally {
  /** How many orders there are. */
  orders(): number;
  /** Those of which something is still to be done. */
  open(): ReadonlySet<string>;
  stop(): Promise<void>;
}

const EVERY_MS = 200;

/** Reads what is new several times a second; while the server is away the figures stand still. */
export function startTally(log: Log): Tally {
  const states = new Map<string, OrderState>();
  const open = new Set<string>();
  const ended = new AbortController();
  let seen = 0;

  const readOn = async (): Promise<void> => {
    for await (const { commits } of log.scan({
      after: positionOf(seen),
      filter: { category: order.category },
    })) {
      for (const commit of commits) {
        const { id } = commit.stream;
        const state = eventsOf(order, commit).reduce(order.evolve, states.get(id) ?? order.initial);
        states.set(id, state);
        seen = numberOf(commit.position);
        if (state.status !== 'absent' && whatIsOpen(state).length > 0) open.add(id);
        else open.delete(id);
      }
    }
  };
  const following = (async () => {
    while (!ended.signal.aborted) {
      await readOn().catch((error: unknown) => {
        if (!(error instanceof LogUnavailable)) throw error;
      });
      await delay(EVERY_MS);
    }
  })();
  return {
    orders: () => states.size,
    open: () => open,
    stop: async () => {
      ended.abort();
      await following;
    },
  };
}
