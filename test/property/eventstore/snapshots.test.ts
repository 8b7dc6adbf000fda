import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyCommandLog } from '../../../src/eventstore/command-log.ts';
import { emptyFold, type Folded, foldCommit } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import type { RecordedCommit } from '../../../src/eventstore/log.ts';
import type { WrongSnapshot } from '../../../src/eventstore/snapshots/snapshots.ts';
import { openSnapshot, sealSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import {
  added,
  type CounterState,
  counter,
  counterRef,
  noted,
  toyCommit,
} from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, manualRuntime, mapStore, meta, rest } from '../../unit/eventstore/kernel.ts';

/** The next release of the toy, which folds the same events to something else. */
const averaging = {
  ...counter,
  sections: undefined,
  foldRevision: 2,
  initial: { sum: 0, count: 0 },
  evolve: (s: { sum: number; count: number }, event: Parameters<typeof counter.evolve>[1]) => ({
    sum: s.sum + (event.$typeName === 'google.protobuf.Int32Value' ? event.value : event.value.length),
    count: s.count + 1,
  }),
  decide: () => [],
};

const event = fc.oneof(
  fc.integer({ min: -1_000, max: 1_000 }).map(added),
  fc.string({ maxLength: 5, unit: 'grapheme' }).map(noted),
);
/** Commits, each of one or more decisions, each of one or more events. */
const commits = fc.array(
  fc.array(fc.array(event, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
  {
    minLength: 1,
    maxLength: 12,
  },
);

async function stored(history: Parameters<typeof toyCommit>[1][][]): Promise<readonly RecordedCommit[]> {
  const log = createMemoryLog();
  for (const [i, decisions] of history.entries()) {
    await log.append(counterRef('a'), i, toyCommit(`commit-${i}`, ...decisions));
  }
  return (await log.read(counterRef('a'), { after: 0, confirm: true })).commits;
}

function foldAll<S>(
  decider: typeof counter | typeof averaging,
  from: Folded<S>,
  all: readonly RecordedCommit[],
) {
  for (const commit of all) foldCommit(decider as never, from as never, commit);
  const { state, version, commands } = from;
  return { state, version, commands };
}

describe('a snapshot and the tail behind it', () => {
  it('fold to what the whole history folds to, for any cut and for two releases at once', async () => {
    await fc.assert(
      fc.asyncProperty(commits, fc.nat(), async (history, anywhere) => {
        const all = await stored(history);
        const cut = anywhere % (all.length + 1);
        for (const decider of [counter, averaging]) {
          const whole = foldAll<unknown>(decider, emptyFold<unknown>(decider.initial), all);
          const before = foldAll<unknown>(decider, emptyFold<unknown>(decider.initial), all.slice(0, cut));
          const bytes = sealSnapshot('life-1', { ...before, confirmedAt: 0 });
          const opened = openSnapshot<unknown>('life-1', bytes);
          // The tail may begin before the cut: what was folded before is ignored.
          const tail = all.slice(Math.max(0, cut - 2));
          expect(opened && foldAll(decider, opened, tail)).toEqual(whole);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('survive any state that is plain data, and no single flipped bit', () => {
    const states = fc.anything({
      withDate: true,
      withMap: true,
      withSet: true,
      withBigInt: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(states, fc.nat(), fc.nat(), (state, version, anywhere) => {
        const bytes = sealSnapshot('life-1', { state, version, commands: emptyCommandLog(), confirmedAt: 0 });
        expect(openSnapshot('life-1', bytes)).toMatchObject({ version });
        const bit = anywhere % (bytes.length * 8);
        const damaged = Uint8Array.from(bytes, (byte, i) =>
          i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte,
        );
        expect(openSnapshot('life-1', damaged)).toBeUndefined();
        expect(openSnapshot('life-2', bytes)).toBeUndefined();
      }),
      { numRuns: 150 },
    );
  });

  it('give two releases that share the bucket each its own state, whoever wrote last', async () => {
    const turns = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 9 })), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(turns, async (plan) => {
        const log = createMemoryLog();
        const store = mapStore();
        const runtime = manualRuntime();
        const wrong: WrongSnapshot[] = [];
        const start = () =>
          createHandler({
            log,
            runtime,
            snapshots: {
              store,
              settings: { verifyShare: 1, fewestCommands: 2 },
              onWrong: (w) => wrong.push(w),
            },
          });
        let total = 0;
        for (const [i, [restart, by]] of plan.entries()) {
          const old = start();
          await old.execute(counter, 'a', add(by), meta(`c${i}`));
          if (restart) await old.close();
          total += by;
          const young = start();
          expect((await young.load(averaging, 'a')).state).toEqual({ sum: total, count: i + 1 });
          expect((await start().load(counter, 'a')).state).toEqual({
            total,
            notes: [],
          } satisfies CounterState);
          await young.close();
        }
        await rest();
        expect(wrong).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});
