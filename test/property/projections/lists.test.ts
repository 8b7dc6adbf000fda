import { expect, test } from 'vitest';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { isAfter, positionOf } from '../../../src/eventstore/position.ts';
import { CHECKPOINT_KEY } from '../../../src/projections/engine/checkpoint.ts';
import type { ListQuery } from '../../../src/projections/engine/lists/index-pages.ts';
import { compareKeys } from '../../../src/projections/engine/lists/view-index.ts';
import type { ReadOptions } from '../../../src/projections/engine/reading.ts';
import type { ViewReader } from '../../../src/projections/engine/view-reader.ts';
import type { MemoryIndexFiles } from '../../../src/testing/memory-indexes.ts';
import { createWorld, type World } from '../../../src/testing/world.ts';
import { appendPlanned, counterIndex, createViewWorld, type ViewWorld } from './world-of-views.ts';

// docs/protocols.md says how to run it for longer.
const SEEDS = Number(process.env.LIST_SEEDS ?? 40);
const IDS = Array.from({ length: 12 }, (_, n) => `c${n}`);
const [ALL = { equal: [], sort: '' }, NOTED = ALL] = counterIndex.lists;

type Counter = { readonly total: number; readonly notes: readonly string[] };

const QUERIES: readonly ListQuery<Counter>[] = [
  { list: ALL, equal: {} },
  { list: ALL, equal: {}, from: 2, below: 40 },
  { list: NOTED, equal: { noted: 1 } },
  { list: NOTED, equal: { noted: 0 }, from: 1 },
];

/** The plain filter over the rows. */
function plainly(
  rows: Readonly<Record<string, unknown>>,
  { list, equal, from, below }: ListQuery,
): unknown[] {
  const found = (Object.entries(rows) as [string, Counter][]).filter(
    ([, { total, notes }]) =>
      (equal.noted === undefined || equal.noted === Number(notes.length > 0)) &&
      (from === undefined || total >= Number(from)) &&
      (below === undefined || total < Number(below)),
  );
  found.sort(([a, x], [b, y]) => x.total - y.total || compareKeys(a, b));
  if (list.descending === true) found.reverse();
  return found.map(([, row]) => row);
}

/** Every page of a list, of the same size, with something between two of them. */
async function allPages(
  reader: ViewReader,
  query: ListQuery<Counter>,
  limit: number,
  options: ReadOptions,
  between: () => Promise<void> = async () => undefined,
): Promise<Counter[]> {
  const rows: Counter[] = [];
  for (let cursor: string | undefined; ; await between()) {
    const page = await reader.page(counterIndex, query, { ...options, limit, cursor });
    expect(page.items.length).toBeLessThanOrEqual(limit);
    const asked = options.minPosition ?? positionOf(0);
    expect(page.position !== undefined && !isAfter(asked, page.position)).toBe(true);
    rows.push(...page.items.map((item) => JSON.parse(Buffer.from(item).toString()) as Counter));
    cursor = page.next;
    if (cursor === undefined) return rows;
  }
}

function commit(world: World, views: ViewWorld, ids = IDS): void {
  const id = ids[Math.floor(world.random() * ids.length)] ?? '';
  const chance = world.random();
  const event = chance < 0.7 ? 1 + Math.floor(world.random() * 5) : chance < 0.9 ? 'x' : 'gone';
  appendPlanned(views.log, { id, decisions: [[event]] });
}

/** Commits come in, and the server of the rows dies now and then and forgets its newest writes. */
async function trouble(
  world: World,
  views: ViewWorld,
  away: { go(): Promise<void>; comeBack(): void },
): Promise<void> {
  const clock = world.runtime('main');
  for (let n = 0; n < 15; n++) {
    commit(world, views);
    if (world.random() < 0.3) await clock.sleep(Math.floor(world.random() * 40));
  }
  await clock.sleep(Math.floor(world.random() * 500));
  const store = views.store('counters');
  if (store === undefined || world.random() < 0.3) return;
  const isAway = world.random() < 0.7;
  if (isAway) await away.go();
  store.keepFirst(Math.max(0, store.writes.length - 1 - Math.floor(world.random() * 12)));
  if (!isAway) return;
  for (let n = 0; n < 10; n++) commit(world, views);
  await clock.sleep(Math.floor(world.random() * 2_000));
  away.comeBack();
}

/**
 * A process that reads comes and goes meanwhile; at the end its lists are compared with the rows.
 * @returns whether they are the plain filter
 */
async function schedule(seed: number, around?: (bucket: Bucket) => Bucket): Promise<boolean> {
  const world = createWorld(seed, { maxSteps: 2_000_000 });
  return world.run(async () => {
    const views = createViewWorld(world, { batches: 'none' });
    const files: MemoryIndexFiles = new Map();
    const keeper = views.start('keeper');
    let reader = views.reader('reader-0', files, around);
    for (let round = 1; round <= 6; round++) {
      const comeBack = () => {
        reader = views.reader(`reader-${round}`, files, around);
      };
      await trouble(world, views, { go: () => reader.stop(), comeBack });
    }
    const minPosition = positionOf(views.log.head());
    await keeper.waitUntil(minPosition);
    const limit = 1 + Math.floor(world.random() * 4);
    const asked = { minPosition, waitMs: 20_000 };
    // The first call after the server died throws.
    await reader.row(counterIndex.view, 'c0', asked).catch(() => undefined);
    const found: boolean[] = [];
    for (const query of QUERIES) {
      const shown = await allPages(reader, query, limit, asked);
      found.push(JSON.stringify(shown) === JSON.stringify(plainly(views.rows('counters'), query)));
    }
    await reader.stop();
    await keeper.stop();
    return found.every(Boolean);
  });
}

test('whatever the server forgot and whoever was away, paging through a list is the plain filter over the rows', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) expect(await schedule(seed), `seed ${seed}`).toBe(true);
}, 120_000);

test('an index that goes on where it was without looking whether the bucket is what it was is found', async () => {
  /** Every checkpoint says that nothing was ever lost. */
  const trusting = (bucket: Bucket): Bucket => {
    const same = <Row extends { key: string; value: Uint8Array } | undefined>(row: Row): Row => {
      if (row === undefined || row.key !== CHECKPOINT_KEY || row.value.length === 0) return row;
      const value = JSON.parse(Buffer.from(row.value).toString());
      return { ...row, value: Buffer.from(JSON.stringify({ ...value, servers: [{ id: 'same', from: 0 }] })) };
    };
    return {
      ...bucket,
      get: async (key, options) => {
        const row = same(await bucket.get(key, options));
        return row && key === CHECKPOINT_KEY ? { ...row, revision: Number.MAX_SAFE_INTEGER } : row;
      },
      watch: async function* (options) {
        for await (const row of bucket.watch(options)) yield { ...same(row), revision: row.revision };
      },
    };
  };
  let wrong = 0;
  for (let seed = 1; seed <= SEEDS && wrong === 0; seed++) {
    if (!(await schedule(seed, trusting))) wrong++;
  }
  expect(wrong).toBe(1);
}, 120_000);

test('what stays as it is while a list is paged through comes exactly once, whatever is written meanwhile', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = createWorld(seed, { maxSteps: 2_000_000 });
    await world.run(async () => {
      const views = createViewWorld(world, { batches: 'none' });
      const clock = world.runtime('main');
      const keeper = views.start('keeper');
      for (let n = 0; n < 60; n++) commit(world, views);
      const [moving, staying] = [IDS.slice(0, 6), IDS.slice(6)];
      const reader = views.reader('reader', new Map());
      const before = positionOf(views.log.head());
      await keeper.waitUntil(before);
      const wanted = plainly(
        Object.fromEntries(Object.entries(views.rows('counters')).filter(([key]) => staying.includes(key))),
        { list: ALL, equal: {} },
      );
      const between = async () => {
        commit(world, views, moving);
        await clock.sleep(Math.floor(world.random() * 300));
      };
      const shown = await allPages(
        reader,
        { list: ALL, equal: {} },
        2,
        { minPosition: before, waitMs: 20_000 },
        between,
      );
      const texts = wanted.map((row) => JSON.stringify(row));
      const stayed = shown.map((row) => JSON.stringify(row)).filter((row) => texts.includes(row));
      expect(stayed, `seed ${seed}`).toEqual(texts);
      await reader.stop();
      await keeper.stop();
    });
  }
}, 120_000);
