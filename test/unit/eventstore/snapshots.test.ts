import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import { emptyCommandLog, rememberCommand } from '../../../src/eventstore/command-log.ts';
import type { Folded } from '../../../src/eventstore/fold.ts';
import { foldVersionOf } from '../../../src/eventstore/fold-version.ts';
import { createMemoryLog } from '../../../src/eventstore/memory/memory-log.ts';
import { openSnapshot, sealSnapshot } from '../../../src/eventstore/snapshot-format.ts';
import {
  createSnapshots,
  type SnapshotSettings,
  type WrongSnapshot,
} from '../../../src/eventstore/snapshots.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type CounterState, counter, counterRef } from '../../support/toy.ts';
import { add, manualRuntime, mapStore, meta, rest, service } from './kernel.ts';

const KEY = `counter.${foldVersionOf(counter)}.a`;
const INCARNATION = 'memory-1';

/** An aggregate that two commands made what it is: one of a single command gets no snapshot. */
function folded(total: number, version: number, count = 2): Folded<CounterState> {
  const commands = emptyCommandLog();
  for (let i = 0; i < count; i++)
    rememberCommand(commands, create(DecisionSchema, { commandId: `c${i}` }), version);
  return { state: { total, notes: [] }, version, commands, confirmedAt: 0 };
}

/** A service with a snapshot store; what is found wrong is collected. */
function withSnapshots(settings: Partial<SnapshotSettings> = {}) {
  const store = mapStore();
  const wrong: WrongSnapshot[] = [];
  const snapshots = {
    store,
    settings: { verifyShare: 0, ...settings },
    onWrong: (w: WrongSnapshot) => wrong.push(w),
  };
  return { ...service({ snapshots }), store, wrong };
}

async function fill(handler: CommandHandler, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await handler.execute(counter, 'a', add(1), { ...meta(`c${i}`), fingerprint: digest(`c${i}`) });
  }
  await rest();
}

/** As the service makes them: a Buffer, where the log gives a plain Uint8Array back. */
const digest = (text: string) => createHash('sha256').update(text).digest();

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

  it('of another life of the log is as good as none', async () => {
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
    const snapshots = createSnapshots({ store, log, runtime, settings, onWrong: () => undefined });
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

  it('is rarer for large states, however far apart their versions are in a busy log', async () => {
    const { store, tick, offer } = paced({});
    const large = { ...folded(1, 10), state: { total: 1, notes: ['x'.repeat(3 * 4_096)] } };
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
