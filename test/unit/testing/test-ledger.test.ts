import { describe, expect, it } from 'vitest';
import type { Reaction } from '../../../src/processes/engine/reaction.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import { type CounterEvent, counter } from '../../../src/testing/contracts/toy.ts';
import { inTestLedger, type TestLedgerOptions, type TestParts } from '../../../src/testing/test-ledger.ts';

const totals: Projection<{ readonly total: number }, CounterEvent> = {
  name: 'totals',
  version: 1,
  sources: [counter],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event) =>
    event.$typeName === 'google.protobuf.Int32Value' ? { total: (row?.total ?? 0) + event.value } : row,
};

const DAY = 86_400_000;

/** What is added to `a` is added to `b`, a day later. */
const options: TestLedgerOptions = {
  views: [totals],
  reactions: ({ timers }): Reaction[] => [
    {
      name: 'later',
      sources: [counter],
      from: 'beginning',
      handle: async ({ stream, commitId, events: [first] }) => {
        if (stream.id !== 'a' || first === undefined) return;
        await timers.arm({ kind: 'copy', id: commitId, at: first.time + DAY });
      },
    },
  ],
  onTimer: ({ handler }) => ({
    copy: async ({ id }) => {
      const meta = { commandId: id, actor: 'copy' };
      await handler.execute(counter, 'b', { kind: 'add', by: 1 }, meta);
    },
  }),
};

async function addUntilStored({ handler, runtime }: TestParts, commandId: string): Promise<void> {
  for (;;) {
    const meta = { commandId, actor: 'test' };
    const result = await handler.execute(counter, 'a', { kind: 'add', by: 1 }, meta).catch(() => undefined);
    if (result?.outcome === 'accepted') return;
    await runtime.sleep(100);
  }
}

describe('the ledger in memory', () => {
  it('settles views and reactions, and leaves timers until their time has come', async () => {
    await inTestLedger(options, async (ledger) => {
      await addUntilStored(ledger, 'c1');
      await ledger.settled();
      expect(await ledger.row('totals', 'a')).toEqual({ total: 1 });
      expect(await ledger.row('totals', 'b')).toBeUndefined();
      await ledger.settled({ afterMs: DAY });
      expect(await ledger.row('totals', 'b')).toEqual({ total: 1 });
    });
  });

  it('comes to the same end with every seed, whatever fails and whoever dies', async () => {
    const faults = {
      lostAck: 0.05,
      lostSend: 0.05,
      staleRead: 0.1,
      unavailable: 0.05,
      delay: 0.1,
      crash: 0.001,
    };
    for (let seed = 1; seed <= 5; seed++) {
      await inTestLedger({ ...options, seed, faults, longestDelayMs: 1_000 }, async (ledger) => {
        for (const commandId of ['c1', 'c2', 'c3']) await addUntilStored(ledger, commandId);
        ledger.restart();
        await ledger.settled({ afterMs: DAY });
        ledger.world.calm();
        await ledger.settled();
        expect(await ledger.row('totals', 'b'), `seed ${seed}`).toEqual({ total: 3 });
      });
    }
  });

  it('is the same run for the same seed', async () => {
    const run = (seed: number) =>
      inTestLedger({ ...options, seed, faults: { delay: 0.2 } }, async (ledger) => {
        await addUntilStored(ledger, 'c1');
        await ledger.settled();
        return ledger.world.trace();
      });
    expect(await run(7)).toEqual(await run(7));
    expect(await run(7)).not.toEqual(await run(8));
  });

  it('names what does not come to rest', async () => {
    const failing: TestLedgerOptions = {
      onTimer: () => ({
        copy: async () => {
          throw new Error('not today');
        },
      }),
    };
    const settled = inTestLedger(failing, async (ledger) => {
      await ledger.timers.arm({ kind: 'copy', id: 'c', at: ledger.world.now() });
      await ledger.settled();
    });
    await expect(settled).rejects.toThrow(/Not at rest after ten minutes of virtual time/);
  });

  it('refuses to read a view that it does not have', async () => {
    await inTestLedger({}, async (ledger) => {
      await expect(ledger.row('nosuch', 'a')).rejects.toThrow(/has no view nosuch/);
    });
  });
});
