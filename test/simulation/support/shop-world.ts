import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { retryPolicy } from '../../../src/processes/engine/reaction.ts';
import { createCustomerWatch } from '../../../src/processes/order/customer-watch.ts';
import { createDeadline, sweepDeadlines } from '../../../src/processes/order/deadline.ts';
import { createOrderProcess } from '../../../src/processes/order/order-process.ts';
import { createStockWatch } from '../../../src/processes/order/stock-watch.ts';
import { createCustomerDirectory, createOpenOrders } from '../../../src/service/processes.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../src/testing/world.ts';
import { createModelProvider } from './model-provider.ts';
import { createWorstEngine, type Worker, WorkerDied } from './shop-engine.ts';
import { foldOf, violationsIn } from './shop-invariants.ts';
import { type Plant, planting, watching } from './shop-plants.ts';
import { DEADLINE_MS, type PlannedOrder, type ShopScenario, SKUS, shopScenarioOf } from './shop-scenario.ts';
import { createShopViews } from './shop-views.ts';

const FAULTS = { staleRead: 0.1, lostAck: 0.02, unavailable: 0.02, delay: 0.05, crash: 0.004 };
const WORKERS = 3;
/** Longer than any client, deadline, sleeping worker and slow answer together. */
const END_MS = 400_000;
/** How often everything that an order has seen is delivered again. */
const REDELIVERIES = 8;
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
export function runShopSchedule(
  seed: number,
  scenario: ShopScenario = shopScenarioOf(seed),
  plant: Plant = {},
): Promise<ShopRun> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000, maxSteps: 200_000 });
  const store = createMemoryStore();
  const provider = createModelProvider(world, plant.cancelIsFinal);
  const problems: string[] = [];
  const workers: Worker[] = [];
  const complain = (problem: string) => void problems.push(`parked ${problem}`);
  const engine = createWorstEngine(world, store, workers, complain, plant.alwaysFresh);
  const viewsOf = createShopViews(world, store);
  let lives = 0;

  function startWorker(place: number): void {
    const actor = `w${place}.${++lives}`;
    const runtime = world.runtime(actor);
    const log = openMemoryLog(store, { world, actor });
    const handler = napping(planting(createHandler({ log, runtime }), plant), world, actor);
    const honest = provider.reachedBy(actor);
    const payments = plant.payments?.(honest) ?? honest;
    const retries = { backoffBaseMs: 100, backoffCapMs: 2_000, attempts: 10_000, retryUnknown: false };
    const views = plant.views?.(viewsOf(runtime)) ?? viewsOf(runtime);
    const timers = plant.timers?.(engine.timers, runtime) ?? engine.timers;
    const openOrders = createOpenOrders(views);
    const common = { runtime, directory: createCustomerDirectory(views), openOrders };
    const notifications = { publish: async () => undefined };
    const around = plant.aroundStep === undefined ? {} : { aroundStep: plant.aroundStep };
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startWorker(place);
      throw new WorkerDied();
    });
    crashed.catch(() => undefined);
    workers[place] = {
      crashed,
      handler,
      policy: retryPolicy(runtime, retries),
      onTimer: createDeadline({ handler, runtime, timers }),
      sweep: async () => void (await sweepDeadlines({ handler, timers, openOrders })),
      consumers: [
        createOrderProcess({ ...common, ...around, payments, timers, notifications }),
        createCustomerWatch(common),
        ...(plant.stockWatch === false ? [] : [watching(createStockWatch({ runtime }), plant)]),
      ],
    };
  }

  return world.run(async () => {
    for (let place = 0; place < WORKERS; place++) startWorker(place);
    const end = world.now() + END_MS;
    await Promise.all([
      runClients(world, store, scenario, plant),
      engine.runUntil(end),
      disturb(world.runtime('chance'), scenario, engine),
      ...(plant.sweep === false ? [] : [engine.sweepUntil(end)]),
    ]);
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

/** Loses the timers and delivers again what was delivered, as the scenario says. */
async function disturb(
  runtime: Runtime,
  { orders, timersLostAt }: ShopScenario,
  engine: Pick<ReturnType<typeof createWorstEngine>, 'loseTimers' | 'redeliver'>,
): Promise<void> {
  const lose = async (): Promise<void> => {
    if (timersLostAt === undefined) return;
    await runtime.sleep(timersLostAt);
    engine.loseTimers();
  };
  const again = async ({ redeliverEvery }: PlannedOrder, index: number): Promise<void> => {
    if (redeliverEvery === undefined) return;
    for (let times = 0; times < REDELIVERIES; times++) {
      await runtime.sleep(redeliverEvery);
      void engine.redeliver(`o${index}`);
    }
  };
  await Promise.all([lose(), ...orders.map(again)]);
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

  const register = async (userId: string): Promise<void> => {
    const email = `${userId}@example.com`;
    const command = { type: 'register', userId, email, name: userId, emailAttempt: 'a', at } as const;
    await insist(user, userId, command, meta());
  };

  const prepare = async () => {
    for (const userId of ['ada', 'bob']) await register(userId);
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
    const { token: paymentToken } = planned;
    const userId = planned.userId === 'new' ? `new${index}` : planned.userId;
    await runtime.sleep(planned.placeAt);
    if (planned.userId === 'new') await register(userId);
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
      later(planned.refundAt, { type: 'refund', reason: 'Lost', restock: planned.restock, at }),
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
