import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import { BEGINNING, numberOf, positionOf } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import {
  type Page,
  type PageRequest,
  type ReadOptions,
  ViewBehind,
} from '../../../src/projections/engine/reading.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { World } from '../../../src/testing/world.ts';
import type { ReadModels } from '../../support/read-models.ts';
import { foldOf } from './shop-invariants.ts';

/** What the order side reads of the read models. */
export type ShopViews = Pick<ReadModels, 'customer' | 'ordersOfUser' | 'placedOrders'>;

/** How long a view stands still, mostly and at times, in milliseconds at the most. */
const USUAL_LAG_MS = 300;
const LONGEST_LAG_MS = 8_000;
const LONG_LAG = 0.2;
/** How long a reader waits for a view. */
const PATIENCE_MS = 500;
const LOOK_MS = 50;
/** So few that there are several pages. */
const PAGE = 2;

/** Two views of the log that lag behind it, and what a process with a clock of its own reads from them. */
export function createShopViews(world: World, store: MemoryStore): (runtime: Runtime) => ShopViews {
  const customers = laggingView(world, store, 'customers');
  const orders = laggingView(world, store, 'orders');

  return (runtime) => {
    const page = async ({ cursor = '0', ...options }: PageRequest, wanted: Wanted): Promise<Page> => {
      const position = await orders.reached(runtime, options);
      const ids = idsOf(store, position);
      const rows = ids.flatMap((id) => {
        const state = foldOf(store, order, id, position);
        return state.status !== 'absent' && wanted(state) ? [json({ id, status: state.status })] : [];
      });
      const [from, to] = [Number(cursor), Number(cursor) + PAGE];
      return { items: rows.slice(from, to), next: to < rows.length ? String(to) : undefined };
    };
    return {
      customer: async (userId, options = {}) => {
        const position = await customers.reached(runtime, options);
        const { status } = foldOf(store, user, userId, position);
        return status === 'active' || status === 'deactivated' || status === 'forgotten'
          ? { json: json({ status }), position: positionOf(position) }
          : undefined;
      },
      ordersOfUser: (userId, request) => page(request, (state) => state.userId === userId),
      placedOrders: async function* () {
        const position = await orders.reached(runtime, {});
        for (const id of idsOf(store, position)) {
          if (foldOf(store, order, id, position).status === 'placed') yield id;
        }
      },
    };
  };
}

type Wanted = (state: { readonly userId: string; readonly status: string }) => boolean;

function laggingView(world: World, store: MemoryStore, name: string) {
  let position = 0;
  const move = (): void => {
    position = store.head();
    const longest = world.random() < LONG_LAG ? LONGEST_LAG_MS : USUAL_LAG_MS;
    world.later(`${name} move on`, 1 + Math.floor(world.random() * longest), move);
  };
  move();
  return {
    /** Waits as the readers of views do. @throws ViewBehind */
    reached: async (runtime: Runtime, { minPosition = BEGINNING }: ReadOptions): Promise<number> => {
      const giveUpAt = runtime.now() + PATIENCE_MS;
      while (position < numberOf(minPosition)) {
        if (runtime.now() >= giveUpAt) throw new ViewBehind(name, minPosition, positionOf(position));
        await runtime.sleep(LOOK_MS);
      }
      return position;
    },
  };
}

function idsOf(store: MemoryStore, upTo: number): string[] {
  const found = new Set<string>();
  for (let position = 1; position <= upTo; position++) {
    const stream = store.at(position)?.stream;
    if (stream?.category === order.category) found.add(stream.id);
  }
  return [...found];
}

const json = (row: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(row));
