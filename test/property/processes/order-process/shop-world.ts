import { order } from '../../../../src/domain/order.ts';
import { product } from '../../../../src/domain/product.ts';
import { user } from '../../../../src/domain/user.ts';
import type { CommandHandler } from '../../../../src/eventstore/command.ts';
import { createHandler } from '../../../../src/eventstore/handler.ts';
import { openMemoryLog } from '../../../../src/eventstore/memory/memory-log.ts';
import { createMemoryStore, type MemoryStore } from '../../../../src/eventstore/memory/memory-store.ts';
import { createWorld, type World } from '../../../../src/eventstore/memory/scheduler.ts';
import { createCustomerWatch } from '../../../../src/processes/order-process/customer-watch.ts';
import { createDeadline } from '../../../../src/processes/order-process/deadline.ts';
import { createOrderProcess } from '../../../../src/processes/order-process/order-process.ts';
import type { CustomerDirectory, OpenOrders } from '../../../../src/processes/order-process/ports.ts';
import { createStockWatch } from '../../../../src/processes/order-process/stock-watch.ts';
import { createModelProvider } from './model-provider.ts';
import { createWorstEngine, type Worker, WorkerDied } from './shop-engine.ts';
import { foldOf, violationsIn } from './shop-invariants.ts';
import { type Plant, planting } from './shop-plants.ts';
import { type PlannedOrder, type ShopScenario, SKUS } from './shop-scenario.ts';

const FAULTS = { staleRead: 0.1, lostAck: 0.02, unavailable: 0.02, delay: 0.05, crash: 0.004 };
const WORKERS = 3;
const DEADLINE_MS = 25_000;
/** Longer than any client, deadline, sleeping worker and slow answer together. */
const END_MS = 600_000;
/** How often a worker falls asleep before it writes, and for how long at the most. */
const NAP = 0.08;
const LONGEST_NAP_MS = 30_000;

/** How one schedule went. */
export interface ShopRun {
  /** Everything that must not be, as sentences; empty = all is well. */
  readonly violations: readonly string[];
  /** How each order ended. */
  readonly outcomes: readonly string[];
  readonly trace: readonly string[];
}

/** Runs the order process on a scenario until everything has come to rest. */
export function runShop(scenario: ShopScenario, plant: Plant = {}): Promise<ShopRun> {
  const world = createWorld(scenario.seed, { faults: FAULTS, longestDelayMs: 3_000, maxSteps: 200_000 });
  const store = createMemoryStore();
  const provider = createModelProvider(world, plant.cancelIsFinal);
  const problems: string[] = [];
  const workers: Worker[] = [];
  const engine = createWorstEngine(world, store, workers, (problem) => problems.push(`parked ${problem}`));
  const lists = createLists(store);
  let lives = 0;

  function startWorker(place: number): void {
    const actor = `w${place}.${++lives}`;
    const runtime = world.runtime(actor);
    const log = openMemoryLog(store, { world, actor });
    const handler = napping(planting(createHandler({ log, runtime }), plant), world, actor);
    const honest = provider.reachedBy(actor);
    const payments = plant.payments?.(honest) ?? honest;
    const retries = { baseMs: 100, capMs: 2_000, maxAttempts: 10_000 };
    const common = { handler, runtime, directory: lists.directory };
    const notifications = { publish: async () => undefined };
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startWorker(place);
      throw new WorkerDied();
    });
    crashed.catch(() => undefined);
    workers[place] = {
      crashed,
      onTimer: createDeadline({ handler, runtime }),
      consumers: [
        createOrderProcess({ ...common, payments, timers: engine.timers, notifications }, retries),
        createCustomerWatch({ ...common, openOrders: lists.openOrders }, retries),
        ...(plant.stockWatch === false ? [] : [createStockWatch({ handler, runtime }, retries)]),
      ],
    };
  }

  return world.run(async () => {
    for (let place = 0; place < WORKERS; place++) startWorker(place);
    await Promise.all([runClients(world, store, scenario, plant), engine.runUntil(world.now() + END_MS)]);
    const violations = [...problems, ...violationsIn(store, provider, scenario)];
    const outcomes = scenario.orders.map((_, i) => {
      const state = foldOf(store, order, `o${i}`);
      return 'code' in state ? state.code : state.status;
    });
    return { violations, outcomes, trace: world.trace() };
  });
}

/** Before each command a worker may sleep for so long that others have taken over and finished meanwhile. */
function napping(handler: CommandHandler, world: World, actor: string): CommandHandler {
  const runtime = world.runtime(actor);
  return {
    ...handler,
    execute: async (decider, id, command, meta, options) => {
      if (world.random() < NAP) await runtime.sleep(world.random() * LONGEST_NAP_MS);
      return handler.execute(decider, id, command, meta, options);
    },
  };
}

/** The lists that the process consults, always as new as the log. */
function createLists(store: MemoryStore): { directory: CustomerDirectory; openOrders: OpenOrders } {
  const ids = (): string[] => {
    const found = new Set<string>();
    for (let position = 1; position <= store.head(); position++) {
      const stream = store.at(position)?.stream;
      if (stream?.category === 'order') found.add(stream.id);
    }
    return [...found];
  };
  const directory: CustomerDirectory = {
    customer: async (userId) => {
      const { status } = foldOf(store, user, userId);
      return status === 'active' || status === 'deactivated' ? status : 'unknown';
    },
  };
  const openOrders: OpenOrders = {
    async *ofUser(userId) {
      for (const id of ids()) {
        const state = foldOf(store, order, id);
        const open = state.status === 'placed' || state.status === 'confirmed';
        if (open && state.userId === userId) yield id;
      }
    },
    async *awaitingPayment() {
      for (const id of ids()) if (foldOf(store, order, id).status === 'placed') yield id;
    },
  };
  return { directory, openOrders };
}

async function runClients(world: World, store: MemoryStore, scenario: ShopScenario, plant: Plant) {
  const runtime = world.runtime('client');
  const log = openMemoryLog(store, { world, actor: 'client' });
  const handler = planting(createHandler({ log, runtime }), plant);
  let asked = 0;

  const insist: CommandHandler['execute'] = async (decider, id, command, meta) => {
    for (;;) {
      try {
        return await handler.execute(decider, id, command, meta);
      } catch {
        await runtime.sleep(500);
      }
    }
  };
  const meta = () => ({ commandId: `client-${++asked}`, actor: 'client' });
  const at = world.now();

  const prepare = async () => {
    for (const userId of ['ada', 'bob']) {
      const email = `${userId}@example.com`;
      const register = { type: 'register', userId, email, name: userId, emailAttempt: 'a', at } as const;
      await insist(user, userId, register, meta());
    }
    for (const sku of SKUS) {
      const list = { type: 'list', sku, name: sku, priceMinor: 100n, currency: 'EUR', at } as const;
      await insist(product, sku, list, meta());
      const quantity = scenario.stock[sku];
      if (quantity === 0) continue;
      await insist(product, sku, { type: 'receiveStock', receiptId: 'r', quantity, at }, meta());
    }
  };

  const live = async (planned: PlannedOrder, index: number) => {
    const id = `o${index}`;
    const { userId, token: paymentToken } = planned;
    await runtime.sleep(planned.placeAt);
    const lines = planned.lines.map((line) => ({
      ...line,
      name: line.sku,
      unitPriceMinor: 100n,
      currency: 'EUR',
    }));
    const now = runtime.now();
    const payment = { paymentToken, paymentDueAt: Math.ceil(now) + DEADLINE_MS };
    const place = { type: 'place', orderId: id, userId, lines, ...payment, at: Math.floor(now) } as const;
    await insist(order, id, place, meta());
    const later = async (after: number | undefined, command: Parameters<typeof order.decide>[0]) => {
      if (after === undefined) return;
      await runtime.sleep(after);
      await insist(order, id, command, meta());
    };
    await Promise.all([
      later(planned.cancelAt, { type: 'cancel', reason: '', by: 'customer', at }),
      later(planned.shipAt, { type: 'ship', tracking: '', at }),
    ]);
  };

  const deactivate = async (after: number | undefined) => {
    if (after === undefined) return;
    await runtime.sleep(after);
    await insist(user, 'bob', { type: 'deactivate', reason: '', at }, meta());
  };

  await prepare();
  await Promise.all([...scenario.orders.map(live), deactivate(scenario.deactivateAt)]);
}
