import { describe, expect, it } from 'vitest';
import { foldVersionOf } from '../../../src/eventstore/fold.ts';
import type { SnapshotSettings } from '../../../src/eventstore/snapshots/snapshots.ts';
import { openSnapshot, sealSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import { type CounterState, counter, counterRef } from '../../../src/testing/contracts/toy.ts';
import { add, mapStore, meta, rest, service } from './kernel.ts';
import { fill, folded, INCARNATION, KEY, withSnapshots } from './snapshot-kit.ts';

describe('a snapshot', () => {
  it('spares a new process the history: it reads nothing to decide and answer', async () => {
    const { handler, start, log } = withSnapshots();
    await fill(handler, 20);
    await handler.close();
    const before = { ...log.calls };
    const result = await start().execute(counter, 'a', add(1), meta('new'));
    expect(result).toMatchObject({ outcome: 'accepted', state: { total: 21 }, version: 21 });
    expect(log.calls).toEqual({ ...before, appends: before.appends + 1 });
  });

  it('that is old costs a conflict and the tail, and no wrong answer', async () => {
    const { handler, start, store } = withSnapshots();
    await fill(handler, 5);
    await handler.close();
    const old = new Map(store.entries);
    await handler.execute(counter, 'a', add(-5), meta('later'));
    for (const [key, value] of old) store.entries.set(key, value);
    expect(await start().execute(counter, 'a', add(-1), meta('c'))).toMatchObject({
      outcome: 'rejected',
      version: 6,
    });
    expect(await start().execute(counter, 'a', add(1), meta('d'))).toMatchObject({
      state: { total: 1 },
      version: 7,
    });
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ['a flipped byte', (bytes) => bytes.map((byte, i) => (i === bytes.length - 9 ? byte ^ 1 : byte))],
    ['a flipped byte in its checksum', (bytes) => bytes.map((byte, i) => (i === 3 ? byte ^ 1 : byte))],
    ['another format', (bytes) => bytes.map((byte, i) => (i === 0 ? 9 : byte))],
    ['half of its bytes', (bytes) => bytes.subarray(0, bytes.length / 2)],
    ['no bytes', () => new Uint8Array()],
  ])('with %s is as good as none', async (_, damage) => {
    const bytes = sealSnapshot(INCARNATION, folded(99, 1));
    expect(openSnapshot(INCARNATION, bytes)).toMatchObject({ state: { total: 99 }, version: 1 });
    expect(openSnapshot(INCARNATION, damage(bytes))).toBeUndefined();
    const { handler, store, start } = withSnapshots();
    await fill(handler, 3);
    store.entries.set(KEY, damage(bytes));
    expect((await start().load(counter, 'a')).state.total).toBe(3);
  });

  it('of another incarnation of the log is as good as none', async () => {
    const { handler, store, start } = withSnapshots();
    await fill(handler, 3);
    store.entries.set(KEY, sealSnapshot('another-life', folded(99, 3)));
    expect((await start().execute(counter, 'a', add(1), meta('c'))).outcome).toBe('accepted');
    expect((await start().load(counter, 'a')).state.total).toBe(4);
  });

  it('of another fold is never met, and two folds live side by side', async () => {
    const { handler, store, start } = withSnapshots();
    await fill(handler, 3);
    await handler.close();
    const doubling = {
      ...counter,
      foldRevision: 2,
      evolve: (s: CounterState) => ({ ...s, total: s.total + 2 }),
    };
    const other = start();
    expect((await other.load(doubling, 'a')).state.total).toBe(6);
    await other.close();
    expect([...store.entries.keys()].toSorted()).toEqual(
      [KEY, `counter.${foldVersionOf(doubling)}.a`].toSorted(),
    );
    expect((await start().load(counter, 'a')).state.total).toBe(3);
    expect((await start().load(doubling, 'a')).state.total).toBe(6);
  });

  it('may be unreadable, unwritable or of a state that is no plain data: commands do not notice', async () => {
    const away = () => Promise.reject(new Error('the bucket is away'));
    const snapshots = { store: { get: away, put: away }, onWrong: () => undefined };
    const { handler } = service({ snapshots });
    expect((await handler.execute(counter, 'a', add(1), meta('c'))).outcome).toBe('accepted');
    await handler.close();
    const odd = { ...counter, evolve: () => ({ total: 1, notes: [], act: () => undefined }) };
    const store = mapStore();
    const strange = service({ snapshots: { store, onWrong: () => undefined } }).handler;
    expect((await strange.execute(odd, 'a', add(1), meta('c'))).outcome).toBe('accepted');
    await strange.close();
    expect(store.puts).toEqual([]);
  });
});

describe('a wrong snapshot with a right checksum', () => {
  async function planted(settings: Partial<SnapshotSettings>) {
    const all = withSnapshots(settings);
    await fill(all.handler, 3);
    await all.handler.close();
    all.store.entries.set(KEY, sealSnapshot(INCARNATION, folded(99, 3)));
    return all;
  }

  it('is found by the verification, reported, replaced and forgotten', async () => {
    const { start, store, wrong } = await planted({ verifyShare: 1 });
    const process = start();
    await process.load(counter, 'a');
    await rest();
    expect(wrong).toEqual([{ stream: counterRef('a'), version: 3, key: KEY }]);
    expect(openSnapshot<CounterState>(INCARNATION, store.entries.get(KEY) ?? new Uint8Array())).toMatchObject(
      {
        state: { total: 3 },
        version: 3,
      },
    );
    expect((await process.load(counter, 'a')).state.total).toBe(3);
    expect((await start().load(counter, 'a')).state.total).toBe(3);
  });

  it('does not come back through a command that was under way when it was found', async () => {
    const { start, store, wrong, log } = await planted({ verifyShare: 1 });
    const process = start();
    const release = log.hold();
    const command = process.execute(counter, 'a', add(1), meta('under-way'));
    await rest();
    expect(wrong).toHaveLength(1);
    release();
    await command;
    expect((await process.load(counter, 'a')).state.total).toBe(4);
    await process.close();
    const kept = openSnapshot<CounterState>(INCARNATION, store.entries.get(KEY) ?? new Uint8Array());
    expect(kept?.state.total).toBe(kept?.version === 4 ? 4 : 3);
  });

  it('decides nothing again once it was found: a conflict starts from the truth', async () => {
    const { start, wrong, log } = await planted({ verifyShare: 1 });
    await service({ log }).handler.execute(counter, 'a', add(1), meta('newer'));
    const release = log.hold();
    const command = start().execute(counter, 'a', add(-50), meta('under-way'));
    await rest();
    expect(wrong).toHaveLength(1);
    release();
    expect(await command).toMatchObject({ outcome: 'rejected', version: 4 });
  });

  it('of a version that the log does not have is found too', async () => {
    const { handler, start, store, wrong } = withSnapshots({ verifyShare: 1 });
    await fill(handler, 3);
    store.entries.set(KEY, sealSnapshot(INCARNATION, folded(3, 17)));
    await start().load(counter, 'a');
    await rest();
    expect(wrong).toMatchObject([{ version: 17 }]);
  });

  it('is not looked for where the sample is empty', async () => {
    const { start, wrong } = await planted({ verifyShare: 0 });
    await start().load(counter, 'a');
    await rest();
    expect(wrong).toEqual([]);
  });
});

describe('the verification', () => {
  it.each([
    [16, 1],
    [17, 0],
  ])(
    'is made of fewer loads where it reads more: %i commands, %i comparisons',
    async (commands, comparisons) => {
      // The random number is 0.5, which is below 0.51 and not below 0.51 * 16 / 17.
      const { handler, start, log } = withSnapshots({ verifyShare: 0.51 });
      await fill(handler, commands);
      await handler.close();
      const before = log.calls.confirmed;
      await start().execute(counter, 'a', add(1), meta('c'));
      await rest();
      expect(log.calls.confirmed).toBe(before + comparisons);
    },
  );

  it('finds nothing wrong with a right snapshot, digests and all', async () => {
    const { handler, start, wrong, log } = withSnapshots({ verifyShare: 1 });
    await fill(handler, 10);
    await handler.close();
    const before = log.calls.confirmed;
    await start().execute(counter, 'a', add(1), meta('c'));
    await rest();
    expect(log.calls.confirmed).toBe(before + 1);
    expect(wrong).toEqual([]);
  });
});
