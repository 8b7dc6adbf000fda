import { describe, expect, it } from 'vitest';
import { packKeys } from '../../../src/domain/key-map.ts';
import type { ListedProduct, ProductCommand } from '../../../src/domain/product.ts';
import { part } from '../../../src/eventstore/commit-all.ts';
import { foldVersionOf } from '../../../src/eventstore/fold.ts';
import type { Handler } from '../../../src/eventstore/handler.ts';
import { openSection, type StoredSection, sealSection } from '../../../src/eventstore/snapshots/sections.ts';
import type { SnapshotSettings, WrongSnapshot } from '../../../src/eventstore/snapshots/snapshots.ts';
import { openSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import { sectionsOf, smallProduct } from '../../support/small-sections.ts';
import { mapStore, meta, rest, service } from './kernel.ts';
import { INCARNATION } from './snapshot-kit.ts';

const KEY = `product.${foldVersionOf(smallProduct)}.TEA-1`;
const COUNT = 3;
const AT = 1_900_000_000_000;

let commands = 0;
const ask = (handler: Handler, command: ProductCommand) =>
  handler.execute(smallProduct, 'TEA-1', command, meta(`c${++commands}`));
const reserve = (orderId: string) => ({ type: 'reserveStock', orderId, quantity: 1, at: AT }) as const;
const release = (orderId: string) => ({ type: 'releaseStock', orderId, at: AT }) as const;

/** Processes that share a log and a snapshot store, and a product of which `open` orders hold a piece. */
async function shop(open: number, settings: Partial<SnapshotSettings> = {}) {
  const store = mapStore();
  const wrong: WrongSnapshot[] = [];
  const onWrong = (w: WrongSnapshot) => wrong.push(w);
  const snapshots = { store, settings: { verifyShare: 0, fewestCommands: 2, ...settings }, onWrong };
  const all = service({ snapshots });
  const { handler } = all;
  await ask(handler, { type: 'list', sku: 'TEA-1', name: 'Tea', priceMinor: 1n, currency: 'EUR', at: AT });
  await ask(handler, { type: 'receiveStock', receiptId: 'r', quantity: 1_000, at: AT });
  for (let i = 1; i <= open; i++) await ask(handler, reserve(`o${i}`));
  await rest();
  const gets: string[] = [];
  const { get } = store;
  store.get = (key) => {
    gets.push(key);
    return get(key);
  };
  const section = (index: number): StoredSection | undefined =>
    openSection(INCARNATION, index, store.entries.get(`${KEY}.${index}`) ?? new Uint8Array());
  const change = (to: (section: StoredSection, index: number) => Uint8Array | undefined): void => {
    for (let i = 0; i < COUNT; i++) {
      const stored = section(i);
      const bytes = stored && to(stored, i);
      if (bytes === undefined) store.entries.delete(`${KEY}.${i}`);
      else store.entries.set(`${KEY}.${i}`, bytes);
    }
  };
  return { ...all, store, wrong, gets, section, change };
}

/** What nobody can tell from a product that was never taken apart. */
const stockOf = async (handler: Handler): Promise<readonly [bigint, bigint]> => {
  const { onHand, reserved } = (await handler.load(smallProduct, 'TEA-1')).state as ListedProduct;
  return [onHand, reserved];
};

describe('a state in sections', () => {
  it('costs a cold command its head and one section, and no reading of the log', async () => {
    const { handler, start, log, gets, store } = await shop(60);
    await handler.close();
    const before = { ...log.calls };
    expect(await ask(start(), release('o7'))).toMatchObject({
      outcome: 'accepted',
      events: [{ quantity: 1n }],
    });
    expect(gets).toHaveLength(2);
    expect(gets[0]).toBe(KEY);
    expect(log.calls).toEqual({ ...before, appends: before.appends + 1 });
    const head = openSnapshot(INCARNATION, store.entries.get(KEY) ?? new Uint8Array());
    const known = head && sectionsOf(smallProduct).fromHead(head.state);
    // Of 60 orders it holds the changes of two generations.
    const { latest, before: earlier } = (known as ListedProduct).reservations.open;
    expect(packKeys(latest).keys.length + packKeys(earlier).keys.length).toBeLessThanOrEqual(8);
  });

  it('reserves once for each order, whoever asks, and refuses one whose release came first', async () => {
    const { handler, start } = await shop(60);
    await handler.close();
    expect(await ask(start(), reserve('o7'))).toMatchObject({ outcome: 'unchanged' });
    const first = start();
    expect(await ask(first, release('never'))).toMatchObject({ events: [{ quantity: 0n }] });
    await first.close();
    expect(await ask(start(), reserve('never'))).toMatchObject({
      outcome: 'rejected',
      rejection: { code: 'product/reservation-released' },
    });
    expect(await stockOf(start())).toEqual([1_000n, 60n]);
  });

  it('loads the sections of all commands that become one commit', async () => {
    const { handler, start, gets } = await shop(60);
    await handler.close();
    const process = start();
    const answers = await Promise.all(
      ['o1', 'o2', 'o3', 'o4', 'o5', 'o6'].map((id) => ask(process, release(id))),
    );
    expect(answers.map((a) => a.outcome)).toEqual(answers.map(() => 'accepted'));
    expect(gets).toHaveLength(1 + COUNT);
    expect(await stockOf(start())).toEqual([1_000n, 54n]);
  });

  it('takes in what other processes did to sections that are away', async () => {
    const { handler, start } = await shop(60);
    await handler.close();
    const [one, two] = [start(), start()];
    await ask(one, release('o1'));
    for (let i = 2; i <= 40; i++) await ask(two, release(`o${i}`));
    for (let i = 1; i <= 60; i++) {
      const outcome = i <= 40 ? 'unchanged' : 'accepted';
      expect(await ask(one, release(`o${i}`))).toMatchObject({ outcome });
    }
    expect(await stockOf(start())).toEqual([1_000n, 0n]);
  });

  it('serves whoever decides on a loaded state, and a commit of several aggregates', async () => {
    const { handler, start } = await shop(60);
    await handler.close();
    const toDecide = reserve('o9');
    const { state } = await start().load(smallProduct, 'TEA-1', { toDecide });
    expect(smallProduct.decide(toDecide, state)).toEqual([]);
    const both = [part(smallProduct, 'TEA-1', release('o9'))];
    expect(await start().commitAll(both, meta('all'))).toMatchObject({ outcome: 'accepted' });
    expect(await stockOf(start())).toEqual([1_000n, 59n]);
  });
});

describe('a section that does not fit', () => {
  const nothing = { keys: [], values: [] };
  it.each<[string, (section: StoredSection, index: number) => Uint8Array | undefined]>([
    ['is lost', () => undefined],
    ['is damaged', () => new Uint8Array(40)],
    ['is another one', (s, i) => sealSection(INCARNATION, i + 1, s)],
    ['is of another life of the log', (s, i) => sealSection('another-life', i, s)],
    [
      'is two generations old, and empty then',
      (s, i) => sealSection(INCARNATION, i, { ...s, generation: s.generation - 2, content: nothing }),
    ],
    [
      'is of a version that the log does not have',
      (s, i) => sealSection(INCARNATION, i, { ...s, version: 9_999, content: nothing }),
    ],
  ])('because it %s costs the reading of the log, and is stored anew', async (_, spoil) => {
    const { handler, start, section, change } = await shop(60);
    await handler.close();
    change(spoil);
    const process = start();
    expect(await ask(process, release('o7'))).toMatchObject({ events: [{ quantity: 1n }] });
    expect(await ask(process, release('o7'))).toMatchObject({ outcome: 'unchanged' });
    expect(await ask(process, reserve('o8'))).toMatchObject({ outcome: 'unchanged' });
    await process.close();
    const kept = [0, 1, 2].map(section);
    expect(kept.every((s) => s !== undefined && s.version > 60 && s.version < 9_999)).toBe(true);
    expect(await stockOf(start())).toEqual([1_000n, 59n]);
  });

  it('because another process is ahead costs the tail and not the history', async () => {
    const { handler, start, log, store } = await shop(60);
    await handler.close();
    const head = store.entries.get(KEY) ?? new Uint8Array();
    const ahead = start();
    for (let i = 61; i <= 64; i++) await ask(ahead, reserve(`o${i}`));
    await ahead.close();
    store.entries.set(KEY, head);
    const before = { ...log.calls };
    expect(await ask(start(), release('o64'))).toMatchObject({ events: [{ quantity: 1n }] });
    // The tail behind the head, once.
    expect(log.calls.reads).toBe(before.reads + 1);
  });

  it('because it is wrong, with a right checksum, is found by the verification, reported and replaced', async () => {
    const { handler, start, wrong, change, section } = await shop(60, { verifyShare: 1 });
    await handler.close();
    change((s, i) => sealSection(INCARNATION, i, { ...s, content: { keys: [], values: [] } }));
    await start().load(smallProduct, 'TEA-1', { toDecide: reserve('o7') });
    await rest();
    expect(wrong).toMatchObject([{ stream: { category: 'product', id: 'TEA-1' } }]);
    expect(wrong[0]?.key.startsWith(`${KEY}.`)).toBe(true);
    await rest();
    expect([0, 1, 2].map((i) => section(i)?.content)).not.toContainEqual({ keys: [], values: [] });
    expect(await ask(start(), reserve('o7'))).toMatchObject({ outcome: 'unchanged' });
  });
});

describe('the store', () => {
  it('never holds a head whose sections are too old for it', async () => {
    const { handler, store, section, start } = await shop(0);
    const bad: string[] = [];
    const { put } = store;
    const sections = sectionsOf(smallProduct);
    store.put = async (key, value) => {
      await put(key, value);
      const head = key === KEY ? openSnapshot(INCARNATION, value) : undefined;
      if (head === undefined) return;
      const state = sections.fromHead(head.state);
      const generation = sections.generationOf(state);
      for (let i = 0; i < sections.countIn(state); i++) {
        const stored = section(i)?.generation ?? 0;
        if (stored < generation - 1) bad.push(`generation ${generation} beside a section of ${stored}`);
      }
    };
    let headed = 0;
    const processes = [handler, start(), start()];
    for (let i = 1; i <= 150; i++) {
      const by = processes[i % 3];
      if (by !== undefined) await ask(by, i % 4 === 0 ? release(`o${i - 2}`) : reserve(`o${i}`));
      if (i % 10 === 0) await rest();
      headed = store.puts.filter((key) => key === KEY).length;
    }
    expect(headed).toBeGreaterThan(20);
    expect(bad).toEqual([]);
  });

  it('gets the sections of a generation from one process, and others find them there', async () => {
    const { handler, start, store, section } = await shop(60);
    await handler.close();
    const before = store.puts.length;
    const process = start();
    await ask(process, release('o1'));
    await process.close();
    const sectionsPut = store.puts.slice(before).filter((key) => key !== KEY);
    const sections = sectionsOf(smallProduct);
    const head = openSnapshot(INCARNATION, store.entries.get(KEY) ?? new Uint8Array());
    const generation = sections.generationOf(sections.fromHead(head?.state));
    expect([0, 1, 2].every((i) => (section(i)?.generation ?? 0) >= generation - 1)).toBe(true);
    expect(sectionsPut.length).toBeLessThanOrEqual(COUNT);
  });
});
