import type { Struct } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import {
  account,
  RENEWAL,
  renewalEvery,
  type Subscription,
  subscription,
} from '../../examples/subscription/subscription.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { CommandHandler } from '../../src/eventstore/index.ts';
import { runProcess, runProcessTimer, startEngine } from '../../src/processes/engine/index.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../src/testing/memory-log.ts';
import { createMemoryTimerStore, openMemoryTimers } from '../../src/testing/memory-timers.ts';
import { createWorld, type Faults, type World } from '../../src/testing/world.ts';

const PERIOD_MS = 10_000;
const renewal = renewalEvery(PERIOD_MS);

interface Running {
  /** Executes a command, whatever it takes. */
  readonly ask: CommandHandler['execute'];
  readonly sleep: (ms: number) => Promise<void>;
  subscribed(): Promise<Subscription>;
  balance(): Promise<number>;
  /** What kinds of facts are in the log, in order. */
  kinds(): string[];
}

/** Two instances in a world whose clock jumps; `live` is what happens there. */
function living(seed: number, live: (running: Running) => Promise<void>, faults: Partial<Faults> = {}) {
  const world: World = createWorld(seed, { faults, maxSteps: 500_000 });
  const [store, kv, armed] = [createMemoryStore(), createMemoryBucketStores(), createMemoryTimerStore()];
  const open = (actor: string) => {
    const runtime = world.runtime(actor);
    const log = openMemoryLog(store, { world, actor });
    return { runtime, log, handler: createHandler({ log, runtime }) };
  };
  const start = (actor: string) => {
    const { runtime, log, handler } = open(actor);
    const timers = openMemoryTimers(armed, { runtime, world, actor });
    const engine = startEngine({
      ...{ log, handler, runtime, settings: { prefix: 't' } },
      buckets: openMemoryBuckets(kv, (bucket) => openMemoryBucket(bucket, { world, actor })),
      consumers: [runProcess(renewal, { timers })],
    });
    const fired = timers.deliver(runProcessTimer(renewal, RENEWAL, { handler, runtime, timers }));
    return async () => void (await Promise.all([engine.stop(), fired.stop()]));
  };
  return world.run(async () => {
    const stops = ['one', 'two'].map(start);
    const { handler, runtime } = open('client');
    const insist = async <T>(work: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await work();
        } catch {
          await runtime.sleep(100);
        }
      }
    };
    const ask: Running['ask'] = (...command) => insist(() => handler.execute(...command));
    const subscribed = async () => (await insist(() => handler.load(subscription, 's1'))).state;
    const balance = async () => (await insist(() => handler.load(account, 'a1'))).state;
    await live({ ask, sleep: runtime.sleep, subscribed, balance, kinds: () => kindsIn(store) });
    await Promise.all(stops.map((stop) => stop()));
  });
}

function kindsIn(store: MemoryStore): string[] {
  const { decode } = codecOf<Struct>(subscription);
  const commits = Array.from({ length: store.head() }, (_, n) => store.at(n + 1));
  const stored = commits.flatMap((commit) => commit?.decisions ?? []).flatMap(({ events }) => events);
  return stored.map((event) => String(decode(event).fields.kind?.kind.value));
}

let asked = 0;
const by = () => ({ commandId: `test-${++asked}`, actor: 'test' });

async function begun({ ask }: Running, amountMinor: number): Promise<void> {
  await ask(account, 'a1', { type: 'deposit', amountMinor }, by());
  await ask(subscription, 's1', { type: 'begin', account: 'a1', priceMinor: 10 }, by());
}

test('a subscription is charged and renewed period after period, and ends when its account is empty', async () => {
  await living(1, async (running) => {
    await begun(running, 35);
    await running.sleep(PERIOD_MS / 2);
    expect(await running.balance()).toBe(25);
    await running.sleep(2 * PERIOD_MS);
    expect(await running.balance()).toBe(5);
    expect(await running.subscribed()).toMatchObject({ status: 'active' });
    await running.sleep(PERIOD_MS);
    expect(await running.subscribed()).toMatchObject({ status: 'unpaid' });
    expect(await running.balance()).toBe(5);
  });
});

test('one that is cancelled is charged no more', async () => {
  await living(2, async (running) => {
    await begun(running, 100);
    await running.sleep(1.5 * PERIOD_MS);
    await running.ask(subscription, 's1', { type: 'end', why: 'cancelled' }, by());
    await running.sleep(3 * PERIOD_MS);
    expect(await running.balance()).toBe(80);
    expect(await running.subscribed()).toMatchObject({ status: 'cancelled' });
  });
});

test('whatever is lost, late or repeated, each period that is paid is renewed or given back', async () => {
  const faults = { lostAck: 0.02, unavailable: 0.02, delay: 0.05 };
  let refunded = 0;
  for (let seed = 1; seed <= 25; seed++) {
    await living(
      seed,
      async (running) => {
        await begun(running, 1_000);
        // Cancels while the second period is being charged.
        await running.sleep(PERIOD_MS + seed * 40);
        await running.ask(subscription, 's1', { type: 'end', why: 'cancelled' }, by());
        await running.sleep(12 * PERIOD_MS);
        const count = (kind: string): number => running.kinds().filter((one) => one === kind).length;
        expect(count('charged'), `seed ${seed}`).toBe(count('renewed') + count('refunded'));
        expect(await running.balance()).toBe(1_000 - 10 * count('renewed'));
        refunded += count('refunded');
      },
      faults,
    );
  }
  expect(refunded).toBeGreaterThan(0);
});
