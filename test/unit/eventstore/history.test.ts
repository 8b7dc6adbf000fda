import { describe, expect, it } from 'vitest';
import { CorruptCommit } from '../../../src/eventstore/errors.ts';
import { history, loadAt } from '../../../src/eventstore/fold.ts';
import { BEGINNING, numberOf } from '../../../src/eventstore/position.ts';
import { counter, counterRef, toyValues } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog, createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, meta, service } from './kernel.ts';

const EPOCH = 1_900_000_000_000;

/** `a` gets 1, 2, 3, 4 and 5 at one second each; `b` writes between, so that versions have gaps. */
async function past() {
  const { handler, log, runtime } = service({ log: createMemoryLog({ pageSize: 2 }) });
  for (let i = 1; i <= 5; i++) {
    await handler.execute(counter, 'a', add(i), meta(`a${i}`));
    await handler.execute(counter, 'b', add(i), meta(`b${i}`));
    runtime.advance(1_000);
  }
  return log;
}

describe('an aggregate in the past', () => {
  it.each([
    [0, 0, 0],
    [1, 1, 1],
    [3, 3, 3],
    [9, 15, 9],
  ])('as of its version %d has the total %d', async (version, total, at) => {
    const loaded = await loadAt(await past(), counter, 'a', { version });
    expect(loaded).toMatchObject({ state: { total }, version: at });
  });

  it.each([
    [2, 1, 1],
    [4, 3, 3],
    [10, 15, 9],
    [1_000, 15, 9],
  ])('as of the position %d of the log has the total %d', async (version, total, at) => {
    const loaded = await loadAt(await past(), counter, 'a', { version });
    expect(loaded).toMatchObject({ state: { total }, version: at });
  });

  it.each([
    [EPOCH - 1, 0, 0],
    [EPOCH, 1, 1],
    [EPOCH + 999, 1, 1],
    [EPOCH + 1_000, 3, 3],
    [EPOCH + 60_000, 15, 9],
  ])('as of the time %d has the total %d', async (time, total, at) => {
    expect(await loadAt(await past(), counter, 'a', { time })).toMatchObject({
      state: { total },
      version: at,
    });
  });

  it('stops at whichever of version and time comes first', async () => {
    const log = await past();
    expect((await loadAt(log, counter, 'a', { version: 9, time: EPOCH + 1_500 })).version).toBe(3);
    expect((await loadAt(log, counter, 'a', { version: 5, time: EPOCH + 60_000 })).version).toBe(5);
  });

  it('as of a time is there when the clock was set back: what was decided on a commit does not hide it', async () => {
    const { handler, log, runtime } = service({ log: createMemoryLog({ pageSize: 2 }) });
    const hour = 3_600_000;
    for (const [i, ahead] of [2 * hour, 0, hour].entries()) {
      runtime.advance(ahead);
      await handler.execute(counter, 'a', add(i + 1), meta(`a${i}`));
      runtime.advance(-ahead);
    }
    const at = async (time: number) => (await loadAt(log, counter, 'a', { time: EPOCH + time })).version;
    expect([await at(-1), await at(0), await at(hour - 1), await at(hour), await at(3 * hour)]).toEqual([
      0, 2, 2, 3, 3,
    ]);
  });

  it('as of a time before damage can be read, and as of a later one is refused', async () => {
    const store = createMemoryStore();
    const { handler, runtime } = service({ log: openMemoryLog(store) });
    await handler.execute(counter, 'a', add(1), meta('a1'));
    runtime.advance(1_000);
    await handler.execute(counter, 'a', add(2), meta('a2'));
    store.put(counterRef('a'), 2, Uint8Array.of(255), 'damaged');
    const at = (time: number) => loadAt(openMemoryLog(store), counter, 'a', { time: EPOCH + time });
    expect((await at(0)).version).toBe(1);
    await expect(at(1_000)).rejects.toBeInstanceOf(CorruptCommit);
  });

  it('is now when no point is named', async () => {
    expect(await loadAt(await past(), counter, 'a', {})).toMatchObject({ state: { total: 15 }, version: 9 });
  });

  it('is the aggregate before its first event when it does not exist', async () => {
    expect(await loadAt(await past(), counter, 'c', {})).toEqual({ state: counter.initial, version: 0 });
  });
});

describe('the history of an aggregate', () => {
  it('is read page by page, oldest first, and no further than asked', async () => {
    const log = await past();
    const seen: unknown[] = [];
    for await (const commit of history(log, counterRef('a'), { version: 5 })) {
      seen.push([commit.position, commit.previous, toyValues([...commit.decisions])]);
    }
    expect(seen).toEqual([
      [1, 0, [1]],
      [3, 1, [2]],
      [5, 3, [3]],
    ]);
  });
});

describe('the log as a whole', () => {
  it('is iterated in order, all of it, a category, or a slot', async () => {
    const log = await past();
    const count = async (filter: Parameters<typeof log.scan>[0]['filter']) => {
      let positions: number[] = [];
      for await (const { commits } of log.scan({ after: BEGINNING, ...(filter && { filter }) })) {
        positions = [...positions, ...commits.map((c) => numberOf(c.position))];
      }
      expect(positions).toEqual(positions.toSorted((x, y) => x - y));
      return positions.length;
    };
    expect(await count(undefined)).toBe(10);
    expect(await count({ category: 'counter' })).toBe(10);
    expect(await count({ category: 'order' })).toBe(0);
    const slots = await Promise.all(
      Array.from({ length: 64 }, (_, index) => count({ group: { count: 64, index } })),
    );
    expect(slots.filter((n) => n > 0)).toEqual([5, 5]);
  });
});
