import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import type { CommandHandler } from '../../../src/eventstore/index.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import { createForgetting as createKeyForgetting } from '../../../src/eventstore/personal/forgetting.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { type Reaction, retryPolicy } from '../../../src/processes/engine/reaction.ts';
import { createCustomerWatch } from '../../../src/processes/order/customer-watch.ts';
import { createDeadline } from '../../../src/processes/order/deadline.ts';
import {
  createClaimTimeout,
  createEmailBackstop,
  EMAIL_CLAIM,
} from '../../../src/processes/order/email-backstop.ts';
import { createForgetting, FORGETTING, forgettingTimer } from '../../../src/processes/order/forgetting.ts';
import { createOrderProcess } from '../../../src/processes/order/order-process.ts';
import type { AskToErase } from '../../../src/processes/order/ports.ts';
import { createAskToErase, startEraser } from '../../../src/service/personal/erasing.ts';
import { createCustomerDirectory, createOpenOrders } from '../../../src/service/processes.ts';
import {
  createMemoryBucketStore,
  openMemoryBucket,
  openMemoryKeyBucket,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld } from '../../../src/testing/world.ts';
import { emailKey } from './email-world.ts';
import { forgettingViolations, watchedStore } from './forgetting-invariants.ts';
import { createModelProvider } from './model-provider.ts';
import { createWorstEngine, type Worker, WorkerDied } from './shop-engine.ts';
import { createShopViews, type ShopViews } from './shop-views.ts';

/** A part that is made wrong; the fault that the simulation must find. */
export interface Plant {
  readonly views?: (honest: ShopViews) => ShopViews;
  readonly reaction?: (honest: Reaction<never>) => Reaction<never>;
  readonly askToErase?: (honest: AskToErase) => AskToErase;
  /** How the process that destroys keys is given the log. */
  readonly eraser?: (honest: CommandHandler) => CommandHandler;
  readonly destroy?: (honest: (person: string) => Promise<void>) => (person: string) => Promise<void>;
}

const FAULTS = { staleRead: 0.1, lostAck: 0.02, unavailable: 0.02, delay: 0.05, crash: 0.003 };
const WORKERS = 3;
const BUSY_MS = 60_000;
/** Longer than any timer, retry and sleeping worker after that. */
const REST_MS = 240_000;
const SECRET = new Uint8Array(32).fill(5);
const [FIRST, SECOND] = ['ada.1@example.com', 'ada.2@example.com'];

/**
 * One person registers, orders, changes its address and is to be forgotten, perhaps called off and asked for again, while
 * two others want its addresses. @returns what must not be, as sentences
 */
export async function runForgettingSchedule(seed: number, plant: Plant = {}): Promise<string[]> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000, maxSteps: 300_000 });
  const stores = { keys: createMemoryBucketStore('keys'), ledger: createMemoryBucketStore('forgotten') };
  const problems: string[] = [];
  const store = watchedStore(createMemoryStore(), stores, problems);
  const shared = createMemoryBucketStore('engine');
  const provider = createModelProvider(world);
  const workers: Worker[] = [];
  const complain = (problem: string) => void problems.push(`parked ${problem}`);
  const engine = createWorstEngine(world, store, workers, complain);
  const viewsOf = createShopViews(world, store);
  const graceMs = world.random() < 0.4 ? 8_000 : 0;
  let lives = 0;

  function partsOf(actor: string) {
    const plain = world.runtime(actor);
    const runtime: Runtime = { ...plain, now: () => Math.floor(plain.now()) };
    const log = openMemoryLog(store, { world, actor });
    const bucket = openMemoryKeyBucket(stores.keys, { world, actor });
    const ledger = openMemoryBucket(stores.ledger, { world, actor });
    const keys = createPersonKeys({ bucket, masters: createMasterKeys(SECRET), runtime });
    const personal = createPersonalData({ keys, encrypt: true, runtime });
    const handler = createHandler({ log, runtime, personal });
    const settings = { staleClaimMs: 1_500, priceMaxAgeMs: 0, graceMs };
    return {
      ...{ runtime, handler },
      destroyer: createKeyForgetting({ ledger, keys: bucket, runtime }),
      useCases: createUseCases({ handler, log, runtime, emailKey, personal, settings }),
      where: { buckets: { create: async () => openMemoryBucket(shared, { world, actor }) }, prefix: 'jl' },
    };
  }

  function startWorker(place: number): void {
    const actor = `w${place}.${++lives}`;
    const { runtime, handler, destroyer, useCases, where } = partsOf(actor);
    const views = plant.views?.(viewsOf(runtime)) ?? viewsOf(runtime);
    const { timers } = engine;
    const askToErase = plant.askToErase?.(createAskToErase(where)) ?? createAskToErase(where);
    const openOrders = createOpenOrders(views);
    const common = { runtime, directory: createCustomerDirectory(views), openOrders, timers };
    const notifications = { publish: async () => undefined };
    const forgetting = createForgetting({ ...common, askToErase });
    const { abandonStaleClaim, forgetWhenDue } = useCases;
    const onTimer: Readonly<Record<string, Worker['onTimer']>> = {
      [FORGETTING]: forgettingTimer.create({
        handler,
        runtime,
        timers,
        abandonStaleClaim,
        forgetWhenDue,
        askToErase,
      }),
      [EMAIL_CLAIM]: createClaimTimeout(abandonStaleClaim),
    };
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startWorker(place);
      throw new WorkerDied();
    });
    crashed.catch(() => undefined);
    const retries = { backoffBaseMs: 100, backoffCapMs: 2_000, attempts: 10_000, retryUnknown: false };
    const deadline = createDeadline({ handler, runtime, timers });
    workers[place] = {
      ...{ crashed, handler, policy: retryPolicy(runtime, retries), sweep: async () => undefined },
      onTimer: (timer) => (onTimer[timer.kind] ?? deadline)(timer),
      consumers: [
        plant.reaction?.(forgetting) ?? forgetting,
        createCustomerWatch(common),
        createEmailBackstop({ timers, staleClaimMs: 1_500 }),
        createOrderProcess({ ...common, payments: provider.reachedBy(actor), notifications }),
      ],
    };
    startEraser({
      ...{ ...where, runtime, onTrouble: () => undefined },
      handler: plant.eraser?.(handler) ?? handler,
      forgetting: { ...destroyer, forget: plant.destroy?.(destroyer.forget) ?? destroyer.forget },
    });
  }

  return world.run(async () => {
    for (let place = 0; place < WORKERS; place++) startWorker(place);
    const end = world.now() + BUSY_MS + REST_MS;
    const people = peopleOf(world, partsOf);
    await Promise.all([people(), mislead(), engine.runUntil(end)]);
    world.calm();
    return [...problems, ...forgettingViolations(store, stores), ...(await lostAddresses())];
  });

  /** Somebody who may write the row asks for the key of one who was never to be forgotten. */
  async function mislead(): Promise<void> {
    const { where, runtime } = partsOf('misleader');
    await runtime.sleep(world.random() * BUSY_MS);
    await createAskToErase(where)('bob').catch(() => undefined);
  }

  /** Addresses that nobody who lives has, and a newcomer cannot get. */
  async function lostAddresses(): Promise<string[]> {
    const { useCases, runtime } = partsOf('newcomer');
    const lost: string[] = [];
    for (const address of [FIRST, SECOND]) {
      const userId = `new.${address[4]}`.replace('.', '-');
      let outcome = '';
      for (let tries = 0; tries < 5 && outcome !== 'accepted'; tries++) {
        const meta = { commandId: `${userId}.${tries}`, actor: userId };
        ({ outcome } = await useCases.register({ userId, email: address, name: userId }, meta));
        await runtime.sleep(5_000);
      }
      if (outcome !== 'accepted' && !(await isHeld(address)))
        lost.push(`${address} is nobody's and cannot be had`);
    }
    return lost;
  }

  async function isHeld(address: string): Promise<boolean> {
    const { handler, useCases } = partsOf(`looker${++lives}`);
    const holder = await useCases.holderOfEmail(address);
    if (holder === undefined) return false;
    const { state } = await handler.load(user, holder);
    return 'email' in state && (state.email === address || state.pending?.email === address);
  }
}

type World = ReturnType<typeof createWorld>;
type Parts = (actor: string) => {
  readonly handler: CommandHandler;
  readonly runtime: Runtime;
  readonly useCases: ReturnType<typeof createUseCases>;
};

/** What the clients of a schedule do. */
function peopleOf(world: World, partsOf: Parts): () => Promise<unknown> {
  const { runtime } = partsOf('client');
  const sleep = (below: number) => runtime.sleep(world.random() * below);
  let calls = 0;

  /** Tries by one process after the other, under the same command id, until there is an answer. */
  async function insist(
    name: string,
    work: (
      parts: ReturnType<Parts>,
      meta: { commandId: string; actor: string },
    ) => Promise<{ outcome: string }>,
  ): Promise<string> {
    const meta = { commandId: `${name}.${++calls}`, actor: 'client' };
    for (;;) {
      const actor = `client.${++calls}`;
      const fate = await world.spawn(actor, async () => {
        try {
          return (await work(partsOf(actor), meta)).outcome;
        } catch (error) {
          if (!(error instanceof EventStoreError)) throw error;
          return error.retryable ? undefined : 'refused';
        }
      });
      if (!fate.crashed && fate.value !== undefined) return fate.value;
      await sleep(1_000);
    }
  }

  const at = () => runtime.now();
  const change = () => insist('change', ({ useCases }, meta) => useCases.changeEmail('ada', SECOND, meta));
  const ask = () => insist('forget', ({ useCases }, meta) => useCases.requestForgetting('ada', 'r', meta));
  const callOff = () =>
    insist('off', ({ handler }, meta) =>
      handler.execute(user, 'ada', { type: 'callOffForgetting', at: at() }, meta),
    );

  async function placeOrder(id: string): Promise<void> {
    await sleep(20_000);
    await insist(id, ({ handler }, meta) => {
      const lines = [{ sku: 'TEA', name: 'Tea', quantity: 1, unitPriceMinor: 100n, currency: 'EUR' }];
      const details = { deliveryAddress: { name: 'A', street: 'B', city: 'C', country: 'GB' } };
      const payment = { paymentToken: world.random() < 0.5 ? 'fine' : 'mute', paymentDueAt: at() + 25_000 };
      const place = {
        type: 'place',
        orderId: id,
        userId: 'ada',
        lines,
        ...payment,
        details,
        at: at(),
      } as const;
      return handler.execute(order, id, place, meta);
    });
  }

  async function wants(userId: string, email: string): Promise<void> {
    for (const until = at() + BUSY_MS; at() < until; ) {
      await sleep(6_000);
      const outcome = await insist(userId, ({ useCases }, meta) =>
        useCases.register({ userId, email, name: userId }, meta),
      );
      if (outcome === 'accepted') return;
    }
  }

  async function leave(): Promise<void> {
    await sleep(20_000);
    await ask();
    if (world.random() < 0.5) return;
    await sleep(10_000);
    await callOff();
    if (world.random() < 0.4) return;
    await sleep(5_000);
    await ask();
  }

  return async () => {
    await insist('list', ({ handler }, meta) =>
      handler.execute(
        product,
        'TEA',
        { type: 'list', sku: 'TEA', name: 'T', priceMinor: 100n, currency: 'EUR', at: at() },
        meta,
      ),
    );
    await insist('stock', ({ handler }, meta) =>
      handler.execute(product, 'TEA', { type: 'receiveStock', receiptId: 'r', quantity: 3, at: at() }, meta),
    );
    await insist('register', ({ useCases }, meta) =>
      useCases.register({ userId: 'ada', email: FIRST, name: 'Ada' }, meta),
    );
    const changing = sleep(20_000).then(change);
    await Promise.all([
      leave(),
      changing,
      placeOrder('o1'),
      placeOrder('o2'),
      wants('bob', FIRST),
      wants('carl', SECOND),
    ]);
  };
}
