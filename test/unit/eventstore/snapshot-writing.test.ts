import { describe, expect, it } from 'vitest';
import type { Folded } from '../../../src/eventstore/fold.ts';
import { createSnapshots, type SnapshotSettings } from '../../../src/eventstore/snapshots/snapshots.ts';
import { openSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import { type CounterState, counter, counterRef } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, manualRuntime, mapStore, meta, rest } from './kernel.ts';
import { fill, folded, INCARNATION, KEY, withSnapshots } from './snapshot-kit.ts';

describe('the writing of snapshots', () => {
  /** Snapshots of aggregates that are offered by hand; time passes when it is told. */
  function paced(settings: Partial<SnapshotSettings>) {
    const store = mapStore();
    const sleeping: (() => void)[] = [];
    const runtime = {
      ...manualRuntime(),
      sleep: () => new Promise<void>((resolve) => sleeping.push(resolve)),
    };
    const log = createMemoryLog();
    const snapshots = createSnapshots({
      store,
      log,
      runtime,
      settings: { fewestCommands: 2, ...settings },
      onWrong: () => undefined,
    });
    const tick = async () => {
      sleeping.shift()?.();
      await rest();
    };
    const offer = (id: string, state: Folded<CounterState>) =>
      snapshots.offer(counter, counterRef(id), state);
    return { store, snapshots, tick, offer, sleeping };
  }

  it('is paced: no more per interval than the rate allows, whatever is offered', async () => {
    const { store, tick, offer } = paced({ maxPerSecond: 100 });
    for (let i = 0; i < 12; i++) offer(`a${i}`, folded(i, 1));
    expect(store.puts).toHaveLength(0);
    for (const written of [5, 10, 12]) {
      await tick();
      expect(store.puts).toHaveLength(written);
    }
  });

  it('is coalesced: an aggregate that is offered again while it waits is written once, as it then is', async () => {
    const { store, tick, offer } = paced({});
    const state = folded(1, 1);
    offer('a', state);
    Object.assign(state, { state: { total: 2, notes: [] }, version: 2 });
    offer('a', state);
    await tick();
    expect(store.puts).toEqual([KEY]);
    expect(openSnapshot(INCARNATION, store.entries.get(KEY) ?? new Uint8Array())).toMatchObject({
      version: 2,
    });
  });

  it('goes on for a state that another one of the same aggregate took the place of', async () => {
    const { store, tick, offer, snapshots } = paced({});
    const [first, second] = [folded(1, 1), folded(2, 2)];
    offer('a', first);
    offer('a', second);
    await tick();
    expect(store.puts).toHaveLength(1);
    expect(openSnapshot(INCARNATION, store.entries.get(KEY) ?? new Uint8Array())).toMatchObject({
      version: 2,
    });
    offer('a', first);
    await tick();
    offer('a', first);
    snapshots.write(counter, counterRef('a'), second);
    offer('a', first);
    await tick();
    expect(store.puts).toHaveLength(4);
  });

  it('is bounded: aggregates beyond those that may wait are not written this time', async () => {
    const { store, tick, offer } = paced({ maxWaiting: 2 });
    for (const id of ['a', 'b', 'c']) offer(id, folded(1, 1));
    await tick();
    expect(store.puts).toHaveLength(2);
  });

  it('leaves out a short history that lies close together, and keeps one whose commits lie far apart', async () => {
    const { store, tick, offer, snapshots } = paced({ fewestCommands: 8 });
    const young = folded(1, 500, 7);
    offer('a', young);
    snapshots.write(counter, counterRef('a'), young);
    await tick();
    expect(store.puts).toEqual([]);
    young.version = 500 + 10_000;
    offer('a', young);
    await tick();
    expect(store.puts).toEqual([KEY]);
    offer('a', folded(1, 500, 8));
    await tick();
    expect(store.puts).toEqual([KEY, KEY]);
  });

  it('is once a second for an aggregate that is written all the time', async () => {
    const { runtime, store, handler } = withSnapshots();
    await fill(handler, 2);
    const puts = store.puts.length;
    let release = (): void => undefined;
    const gather = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slept: number[] = [];
    runtime.sleep = (ms) => {
      slept.push(ms);
      return gather;
    };
    await fill(handler, 40);
    expect(store.puts).toHaveLength(puts);
    release();
    await rest();
    expect(store.puts).toHaveLength(puts + 1);
    expect(slept).toEqual([1_000]);
  });

  it('is left to whoever appends: a reader offers what it had to read when it found it cold, and nothing later', async () => {
    const { start, store, handler } = withSnapshots();
    await fill(handler, 2);
    await handler.close();
    store.entries.clear();
    const before = store.puts.length;
    const reader = start();
    const writer = start();
    await reader.load(counter, 'a');
    await rest();
    expect(store.puts).toHaveLength(before + 1);
    await writer.execute(counter, 'a', add(1), meta('w'));
    await writer.close();
    const written = store.puts.length;
    expect(await reader.load(counter, 'a')).toMatchObject({ state: { total: 3 } });
    await reader.close();
    expect(store.puts).toHaveLength(written);
  });

  it('leaves out an aggregate of one command, which is read as fast from the log', async () => {
    const { store, tick, offer, snapshots } = paced({});
    offer('a', folded(1, 1, 1));
    snapshots.write(counter, counterRef('a'), folded(1, 1, 1));
    await tick();
    expect(store.puts).toEqual([]);
  });

  it('does not wait for aggregates that were found cold, so that the next process decides on the newest state', async () => {
    const { start, store, log, handler } = withSnapshots();
    await fill(handler, 2);
    await handler.close();
    for (let i = 0; i < 5; i++) {
      const before = { ...log.calls };
      const cold = start({ settings: { cacheEntries: 0 } });
      expect(await cold.execute(counter, 'a', add(1), meta(`cold-${i}`))).toMatchObject({
        state: { total: 3 + i },
      });
      expect(log.calls).toEqual({ ...before, appends: before.appends + 1 });
      const kept = openSnapshot<CounterState>(INCARNATION, store.entries.get(KEY) ?? new Uint8Array());
      expect(kept?.state.total).toBe(3 + i);
    }
  });

  it('of an aggregate that was found cold takes it off the list of those that wait', async () => {
    const { store, tick, offer, snapshots } = paced({});
    const state = folded(1, 1);
    offer('a', state);
    snapshots.write(counter, counterRef('a'), state);
    await tick();
    expect(store.puts).toEqual([KEY]);
  });

  it('leaves out what does not exist, and what is far too large', async () => {
    const { store, tick, offer, snapshots, sleeping } = paced({});
    offer('a', folded(0, 0, 0));
    expect(sleeping).toHaveLength(0);
    offer('b', { ...folded(1, 1), state: { total: 1, notes: ['x'.repeat(600 * 1024)] } });
    await tick();
    expect(store.puts).toEqual([]);
    await snapshots.close();
  });

  it('is not tried again at each commit of a state that is far too large', async () => {
    const { tick, offer } = paced({});
    let tried = 0;
    const notes = ['x'.repeat(600 * 1024)];
    const state = {
      total: 1,
      get notes() {
        tried++;
        return notes;
      },
    };
    const large = { ...folded(1, 1), state };
    for (let version = 1; version <= 150; version++) {
      large.version = version;
      offer('a', large);
      await tick();
    }
    // 600 KiB are 600 pauses.
    expect(tried).toBe(1);
  });

  it('is rarer for large states, however far apart their versions are in a busy log', async () => {
    const { store, tick, offer } = paced({});
    const large = { ...folded(1, 10), state: { total: 1, notes: ['x'.repeat(3 * 1_024)] } };
    offer('a', large);
    await tick();
    for (const version of [1_100, 2_200, 3_300, 4_400]) {
      large.version = version;
      offer('a', large);
      await tick();
    }
    expect(store.puts).toHaveLength(2);
  });

  it('ends with what waits when the process closes, and takes nothing more', async () => {
    const { store, offer, snapshots, sleeping } = paced({ maxPerSecond: 20 });
    for (const id of ['a', 'b', 'c']) offer(id, folded(1, 1));
    const closing = snapshots.close();
    sleeping.shift()?.();
    await closing;
    expect(store.puts).toHaveLength(3);
    offer('d', folded(1, 1));
    expect(store.puts).toHaveLength(3);
  });
});
