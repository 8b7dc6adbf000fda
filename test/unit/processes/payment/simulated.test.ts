import { describe, expect, it } from 'vitest';
import { openMemoryBucket } from '../../../../src/eventstore/memory/memory-bucket.ts';
import { createMemoryBucketStore } from '../../../../src/eventstore/memory/memory-bucket-store.ts';
import { createWorld } from '../../../../src/eventstore/memory/scheduler.ts';
import { heldMinor, keptMinor } from '../../../../src/processes/payment/adapters/ledger-entry.ts';
import { createSimulatedProvider } from '../../../../src/processes/payment/adapters/simulated.ts';
import { PaymentUnavailable } from '../../../../src/processes/payment/port.ts';

const SCHEDULES = 300;

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

describe('the simulated provider in a simulated world', () => {
  it('lets exactly one of a capture and a cancellation win, through crashes, lost and late writes', async () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const faults = {
        lostSend: 0.1,
        lostAck: 0.1,
        lateLanding: 0.1,
        delay: 0.2,
        crash: 0.01,
        unavailable: 0.05,
      };
      const world = createWorld(seed, { faults, longestDelayMs: 2_000 });
      const store = createMemoryBucketStore('payments');
      const open = (actor: string) => {
        const runtime = world.runtime(actor);
        const bucket = openMemoryBucket(store, { world, actor });
        return createSimulatedProvider({ bucket, runtime, lateMs: 500 });
      };
      const intent = { key: 'o-1', amountMinor: 500n, currency: 'EUR', token: 'tok_timeout' };
      const ledger = await world.run(async () => {
        const main = open('main');
        await insisting(() => main.createIntent(intent));
        await insisting(() => main.authorise('o-1'));
        const racers = ['a', 'b'] as const;
        await Promise.all(
          racers.map((name) =>
            world.spawn(name, () =>
              insisting(() => (name === 'a' ? open(name).capture('o-1') : open(name).cancel('o-1'))),
            ),
          ),
        );
        // A successor finishes what a dead racer began.
        const end = await insisting(() => main.cancel('o-1'));
        outcomes.add(end.outcome);
        for (let look = 0; look < 2; look++) await world.runtime('main').sleep(5_000);
        const again = await insisting(() => main.cancel('o-1'));
        expect(again.outcome, `seed ${seed}`).toBe(end.outcome);
        const row = store.last('o-1');
        return row === undefined ? undefined : JSON.parse(new TextDecoder().decode(row.value));
      });
      const entry = { ...ledger, intent: { ...ledger.intent, amountMinor: 500n } };
      expect(ledger.capturedAt === undefined, `seed ${seed}`).toBe(ledger.cancelledAt !== undefined);
      expect([heldMinor(entry), keptMinor(entry)]).toEqual([0n, ledger.capturedAt === undefined ? 0n : 500n]);
    }
    expect([...outcomes].sort()).toEqual(['cancelled', 'captured']);
  });
});
