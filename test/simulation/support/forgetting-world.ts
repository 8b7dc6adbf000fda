import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { user } from '../../../src/domain/user.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import type { CommandHandler } from '../../../src/eventstore/index.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import { createForgetting as createKeyForgetting } from '../../../src/eventstore/personal/forgetting.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { users } from '../../../src/processes/contracts/users.ts';
import { createPublisher } from '../../../src/processes/engine/publishing/publisher.ts';
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
import { createStockWatch } from '../../../src/processes/order/stock-watch.ts';
import { createAskToErase, startEraser } from '../../../src/service/personal/erasing.ts';
import { createCustomerDirectory, createOpenOrders } from '../../../src/service/processes.ts';
import {
  createMemoryBucketStore,
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
  openMemoryKeyBucket,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld } from '../../../src/testing/world.ts';
import { createMemoryPublicStore, openMemoryPublicStream } from '../../support/memory-public-stream.ts';
import { emailKey } from './email-world.ts';
import { forgettingViolations, watchedStore } from './forgetting-invariants.ts';
import { BUSY_MS, FIRST, peopleOf, SECOND, STOCK } from './forgetting-people.ts';
import { publicViolations } from './forgetting-public.ts';
import { type ForgettingScenario, forgettingScenarioOf } from './forgetting-scenario.ts';
import { createForgettingViews } from './forgetting-views.ts';
import { createModelProvider } from './model-provider.ts';
import type { ViewsPlant } from './personal-views-world.ts';
import type { PublishingPlant } from './publishing-world.ts';
import { createWorstEngine, type Worker, WorkerDied } from './shop-engine.ts';
import { wrongBooks } from './shop-invariants.ts';
import { createShopViews, type ShopViews } from './shop-views.ts';

/** A part that is made wrong; the fault that the simulation must find. */
export interface Plant {
  readonly views?: (honest: ShopViews) => ShopViews;
  readonly reaction?: (honest: Reaction<never>) => Reaction<never>;
  readonly askToErase?: (honest: AskToErase) => AskToErase;
  /** What drives orders. */
  readonly orders?: (honest: Reaction<never>) => Reaction<never>;
  readonly publisher?: PublishingPlant['deps'];
  /** Where views write. */
  readonly buckets?: ViewsPlant['buckets'];
  /** How the process that destroys keys is given the log. */
  readonly eraser?: (honest: CommandHandler) => CommandHandler;
  readonly destroy?: (honest: (person: string) => Promise<void>) => (person: string) => Promise<void>;
}

const FAULTS = { staleRead: 0.1, lostAck: 0.02, unavailable: 0.02, delay: 0.05, crash: 0.003 };
const WORKERS = 3;
/** Longer than any timer, retry and sleeping worker after that. */
const REST_MS = 240_000;
const SECRET = new Uint8Array(32).fill(5);

/**
 * One person registers, orders, has its money back, changes its address and is to be forgotten, perhaps called off and
 * asked for again, while two others want its addresses, views are rebuilt and its public events are told.
 */
export async function runForgettingSchedule(
  seed: number,
  scenario: ForgettingScenario = forgettingScenarioOf(seed),
  plant: Plant = {},
): Promise<{ readonly violations: readonly string[]; readonly trace: readonly string[] }> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000, maxSteps: 1_000_000 });
  const stores = { keys: createMemoryBucketStore('keys'), ledger: createMemoryBucketStore('forgotten') };
  const problems: string[] = [];
  const store = watchedStore(createMemoryStore(), stores, problems);
  const shared = createMemoryBucketStore('engine');
  const rows = createMemoryBucketStores();
  const published = createMemoryPublicStore(world.now);
  const provider = createModelProvider(world);
  const workers: Worker[] = [];
  const complain = (problem: string) => void problems.push(`parked ${problem}`);
  const engine = createWorstEngine(world, store, workers, complain);
  const viewsOf = createShopViews(world, store);
  const { graceMs } = scenario;
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
      ...{ runtime, handler, log, personal },
      buckets: openMemoryBuckets(rows, (opened) => openMemoryBucket(opened, { world, actor })),
      destroyer: createKeyForgetting({ ledger, keys: bucket, runtime }),
      useCases: createUseCases({ handler, log, runtime, emailKey, personal, settings }),
      where: { buckets: { create: async () => openMemoryBucket(shared, { world, actor }) }, prefix: 'jl' },
    };
  }

  function startWorker(place: number): void {
    const actor = `w${place}.${++lives}`;
    const { runtime, handler, log, destroyer, useCases, where } = partsOf(actor);
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
    const orderProcess = createOrderProcess({
      ...common,
      payments: provider.reachedBy(actor),
      notifications,
    });
    const stream = openMemoryPublicStream(published, { world, actor, runtime });
    const told = { contract: users, log, stream, source: '/shop' };
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
        createStockWatch({ runtime }),
        plant.orders?.(orderProcess) ?? orderProcess,
        createPublisher(plant.publisher?.(told, published) ?? told),
      ],
    };
    startEraser({
      ...{ ...where, runtime, onTrouble: () => undefined },
      handler: plant.eraser?.(handler) ?? handler,
      forgetting: { ...destroyer, forget: plant.destroy?.(destroyer.forget) ?? destroyer.forget },
    });
  }

  const views = createForgettingViews(world, { log: store, stores: rows }, (actor) => {
    const parts = partsOf(actor);
    return { ...parts, buckets: plant.buckets?.(parts.buckets, parts.personal) ?? parts.buckets };
  });

  return world.run(async () => {
    for (let place = 0; place < WORKERS; place++) startWorker(place);
    const end = world.now() + BUSY_MS + REST_MS;
    const people = peopleOf(world, partsOf, scenario);
    const kept = views.keep();
    await Promise.all([people(), mislead(), again(), engine.runUntil(end)]);
    world.calm();
    problems.push(
      ...forgettingViolations(store, stores),
      ...wrongBooks(
        store,
        provider,
        [...scenario.orders.keys()].map((at) => `o${at}`),
        STOCK,
      ),
      ...publicViolations(store, published),
      ...(await views.violations()),
      ...(await lostAddresses()),
    );
    await kept;
    return { violations: problems, trace: world.trace() };
  });

  async function again(): Promise<void> {
    if (scenario.rebuildAt === undefined) return;
    await world.runtime('operator').sleep(scenario.rebuildAt);
    problems.push(...(await views.rebuildAll()));
  }

  /** Somebody who may write the row asks for the key of one who was never to be forgotten. */
  async function mislead(): Promise<void> {
    if (scenario.misleadAt === undefined) return;
    const { where, runtime } = partsOf('misleader');
    await runtime.sleep(scenario.misleadAt);
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
