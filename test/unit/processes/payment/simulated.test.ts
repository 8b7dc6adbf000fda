import { describe, expect, it } from 'vitest';
import type { Bucket } from '../../../../src/eventstore/bucket.ts';
import { BEGINNING } from '../../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../../src/eventstore/runtime.ts';
import { decodeEntry, heldMinor, keptMinor } from '../../../../src/processes/payment/adapters/ledger.ts';
import {
  createSimulatedProvider,
  type SimulatedProvider,
} from '../../../../src/processes/payment/adapters/simulated.ts';
import { PaymentUnavailable } from '../../../../src/processes/payment/port.ts';
import {
  createMemoryBucketStore,
  type MemoryBucketStore,
  openMemoryBucket,
} from '../../../../src/testing/memory-bucket.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

const SCHEDULES = 300;
const FAULTS = { lostSend: 0.1, lostAck: 0.1, lateLanding: 0.1, delay: 0.2, crash: 0.01, unavailable: 0.05 };
const KEY = 'o-1';
const INTENT = { key: KEY, amountMinor: 500n, currency: 'EUR', token: 'tok_timeout' };

/** Calls until there is an answer, as the order process does. */
async function insisting<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof PaymentUnavailable)) throw error;
    }
  }
}

type Fence = (bucket: Bucket, store: MemoryBucketStore) => Bucket;
const asItIs: Fence = (bucket) => bucket;
/** The planted fault: whoever writes last wins. */
const switchedOff: Fence = (bucket, store) => ({
  ...bucket,
  write: (row) => bucket.write({ ...row, expectedRevision: store.last(row.key)?.revision ?? 0 }),
});

/** A capture and a cancellation at the same time, and a successor who finishes; what ended wrongly, and who won. */
async function race(seed: number, fence: Fence): Promise<{ wrong: string[]; outcome: string }> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 2_000 });
  const store = createMemoryBucketStore('payments');
  const open = (actor: string): SimulatedProvider => {
    const bucket = fence(openMemoryBucket(store, { world, actor }), store);
    return createSimulatedProvider({ bucket, runtime: world.runtime(actor), lateMs: 500 });
  };
  const told = await world.run(() => play(world, open));
  const row = store.last(KEY);
  if (row === undefined) throw new Error(`seed ${seed}: nothing was stored`);
  const entry = decodeEntry(row.value);
  const wrong: string[] = [];
  if (new Set(told).size > 1) wrong.push(`told ${told.join(', ')}`);
  if ((entry.capturedAt === undefined) !== (entry.cancelledAt !== undefined)) wrong.push('not exactly one');
  if (heldMinor(entry) !== 0n) wrong.push('money is held');
  if (keptMinor(entry) !== (told[0] === 'captured' ? 500n : 0n)) wrong.push(`kept ${keptMinor(entry)}`);
  return { wrong, outcome: told[0] ?? '' };
}

/** What each of those who lived to hear it was told. */
async function play(world: World, open: (actor: string) => SimulatedProvider): Promise<string[]> {
  const main = open('main');
  await insisting(() => main.createIntent(INTENT));
  await insisting(() => main.authorise(KEY));
  const racers = await Promise.all([
    world.spawn('capturing', () => insisting(() => open('capturing').capture(KEY))),
    world.spawn('cancelling', () => insisting(() => open('cancelling').cancel(KEY))),
  ]);
  const told = racers.flatMap((fate) => (fate.crashed ? [] : [fate.value.outcome]));
  told.push((await insisting(() => main.cancel(KEY))).outcome);
  // Long enough for every write that is late.
  await world.runtime('main').sleep(10_000);
  told.push((await insisting(() => main.cancel(KEY))).outcome);
  return told;
}

describe('the simulated provider in a simulated world', () => {
  it('lets exactly one of a capture and a cancellation win, through crashes, lost and late writes', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const { wrong, outcome } = await race(seed, asItIs);
      expect(wrong, `seed ${seed}`).toEqual([]);
      outcomes.add(outcome);
    }
    expect([...outcomes].sort()).toEqual(['cancelled', 'captured']);
  });

  it('is found out when its writes are not fenced', async () => {
    let found = 0;
    for (let seed = 1; seed <= SCHEDULES && found === 0; seed++) {
      found += (await race(seed, switchedOff)).wrong.length;
    }
    expect(found).toBeGreaterThan(0);
  });
});

/** Two processes on one ledger, the first one's bucket as `made`. */
function twoProcesses(made: (bucket: Bucket) => Bucket = (bucket) => bucket) {
  const store = createMemoryBucketStore('payments');
  const runtime = systemRuntime;
  const calls: string[] = [];
  const bucket = openMemoryBucket(store);
  const counted: Bucket = {
    ...bucket,
    get: (...args) => {
      calls.push('get');
      return bucket.get(...args);
    },
    write: (row) => {
      calls.push('write');
      return bucket.write(row);
    },
  };
  const first = createSimulatedProvider({ bucket: made(counted), runtime });
  const second = createSimulatedProvider({ bucket, runtime });
  return { first, second, calls };
}

const PAID = { ...INTENT, token: 'tok_success' };

/** What a process says of a payment that it has authorised and another one has cancelled. */
async function saidOfCancelled(made?: (bucket: Bucket) => Bucket): Promise<string> {
  const { first, second } = twoProcesses(made);
  await first.createIntent(PAID);
  await first.authorise(KEY);
  await second.cancel(KEY);
  return (await first.authorise(KEY)).outcome;
}

describe('what the simulated provider remembers of its ledger', () => {
  it('makes each step of a payment one conditional write', async () => {
    const { first, calls } = twoProcesses();
    await first.createIntent(PAID);
    await first.authorise(KEY);
    await first.capture(KEY);
    expect(calls).toEqual(['write', 'write', 'write']);
  });

  it('never answers for the ledger: what needs no write is read, and so is what would be refused', async () => {
    expect(await saidOfCancelled()).toBe('cancelled');
    const { first, second } = twoProcesses();
    await second.createIntent(PAID);
    expect((await first.authorise(KEY)).outcome).toBe('authorised');
    expect((await second.capture(KEY)).outcome).toBe('captured');
  });

  it('is found out where it answers all the same', async () => {
    const fromMemory = (bucket: Bucket): Bucket => {
      let last: Awaited<ReturnType<Bucket['get']>>;
      return {
        ...bucket,
        get: async () => last,
        write: async (row) => {
          const result = await bucket.write(row);
          const { key, value = new Uint8Array() } = row;
          if (result.written) last = { key, value, revision: result.revision, position: BEGINNING };
          return result;
        },
      };
    };
    expect(await saidOfCancelled(fromMemory)).toBe('authorised');
  });
});
