import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { BEGINNING, positionOf } from '../../eventstore/position.ts';
import { IndexDamaged } from '../../projections/engine/lists/index-errors.ts';
import {
  type FoundRow,
  type IndexChange,
  type IndexQuery,
  type IndexScope,
  type IndexState,
  type IndexStore,
  NOTHING_INDEXED,
  type StoredIndex,
} from '../../projections/engine/lists/index-store.ts';
import {
  compareKeys,
  compareValues,
  type IndexEntry,
  placesIn,
} from '../../projections/engine/lists/view-index.ts';

const SCOPE: IndexScope = {
  name: 'things',
  bucket: 't_things_v1',
  incarnation: 'life-1',
  version: '1',
  columns: { kind: 'text', owner: 'text', tags: 'texts', size: 'integer', name: 'text' },
  lists: [
    { equal: [], sort: 'size', descending: true },
    { equal: ['kind'], sort: 'size', descending: true },
    { equal: ['owner', 'kind'], sort: 'name' },
    { equal: ['tags'], sort: 'size' },
    { equal: ['tags', 'kind'], sort: 'name', descending: true },
  ],
};

const uuid = (n: number): string => `0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a${String(n).padStart(2, '0')}`;
const KEYS = ['a', 'b', 'Ärmel', '1', '007', uuid(1), uuid(2), uuid(11), 'z-1', 'z'];
const oneOf = (...values: readonly string[]) => fc.constantFrom(...values);
const text = fc.oneof(oneOf('', 'a', 'ab', 'b', '10', '9', 'é', '\u{1F600}', '\uFFFD', uuid(1)), fc.string());

const entryOf: fc.Arbitrary<IndexEntry> = fc.record(
  {
    kind: oneOf('x', 'y', '7'),
    owner: oneOf(uuid(1), uuid(2), 'ada'),
    tags: fc.array(oneOf('red', 'blue', '1'), { maxLength: 3 }),
    size: fc.integer({ min: -3, max: 3 }).map((n) => n * 1_000_000_000_000),
    name: text.map((name) => name.toWellFormed()),
  },
  { requiredKeys: ['kind'] },
);
const changeOf: fc.Arbitrary<IndexChange> = fc.record({
  key: oneOf(...KEYS),
  entry: fc.option(entryOf, { nil: undefined, freq: 5 }),
});
/** Batches of changes; after the second one the rows of the start are in. */
const batches = fc.array(fc.array(changeOf, { maxLength: 12 }), { minLength: 3, maxLength: 6 });

const stateAt = (n: number): IndexState => ({
  revision: n,
  position: n < 2 ? undefined : positionOf(n),
  checkpoints: { '=checkpoint': { position: BEGINNING, revision: n, server: 'one' } },
});

type Entries = ReadonlyMap<string, IndexEntry>;

/** The plain filter over all entries. */
function plainly(
  entries: Entries,
  { list: n, equal, from, below }: Omit<IndexQuery, 'limit'>,
): readonly FoundRow[] {
  const list = SCOPE.lists[n] ?? { equal: [], sort: '' };
  const found = [...entries].flatMap(([key, entry]) =>
    placesIn(list, entry)
      .filter((place) => place.equal.join('\n') === equal.join('\n'))
      .filter(({ sort }) => from === undefined || compareValues(sort, from) >= 0)
      .filter(({ sort }) => below === undefined || compareValues(sort, below) < 0)
      .map(({ sort }) => ({ sort, key })),
  );
  const sorted = found.sort((a, b) => compareValues(a.sort, b.sort) || compareKeys(a.key, b.key));
  return list.descending === true ? sorted.reverse() : sorted;
}

const QUERIES: readonly Omit<IndexQuery, 'limit'>[] = [
  { list: 0, equal: [] },
  { list: 0, equal: [], from: -1_000_000_000_000, below: 2_000_000_000_000 },
  { list: 1, equal: ['x'] },
  { list: 1, equal: ['7'], from: 0 },
  { list: 2, equal: [uuid(1), 'x'] },
  { list: 2, equal: ['ada', 'y'], from: 'a', below: 'b' },
  { list: 3, equal: ['red'] },
  { list: 3, equal: ['1'], below: 0 },
  { list: 4, equal: ['blue', 'x'], from: 'a' },
];

async function allPages(stored: StoredIndex, query: Omit<IndexQuery, 'limit'>, limit: number) {
  const all: FoundRow[] = [];
  for (;;) {
    const page = await stored.find({ ...query, behind: all.at(-1), limit });
    expect(page.length).toBeLessThanOrEqual(limit);
    all.push(...page);
    if (page.length < limit) return all;
  }
}

/**
 * What every store of indexes promises.
 * @param start a store, and the next one of the same process, which goes on with what the first has left
 */
export function indexContract(start: () => { readonly next: () => IndexStore; end(): Promise<void> }): void {
  let under: ReturnType<typeof start>;
  let store: IndexStore;
  beforeEach(() => {
    under = start();
    store = under.next();
  });
  afterEach(async () => {
    await store.close();
    await under.end();
  });

  it('pages of any size are the plain filter over the entries, in order, whatever was changed', async () => {
    await fc.assert(
      fc.asyncProperty(batches, fc.integer({ min: 1, max: 7 }), async (all, limit) => {
        const stored = await store.open(SCOPE, true);
        const entries = new Map<string, IndexEntry>();
        for (const [n, changes] of all.entries()) {
          await stored.apply(changes, stateAt(n));
          for (const { key, entry } of changes) {
            if (entry === undefined) entries.delete(key);
            else entries.set(key, entry);
          }
          if (n < 2) continue;
          for (const query of QUERIES)
            expect(await allPages(stored, query, limit)).toEqual(plainly(entries, query));
        }
        await stored.remove();
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it('goes on with what was stored: entries and how far it is, from one batch', async () => {
    const stored = await store.open(SCOPE);
    expect(stored.state()).toEqual(NOTHING_INDEXED);
    await stored.apply([{ key: 'a', entry: { kind: 'x', size: 1 } }], stateAt(1));
    await stored.apply([{ key: 'b', entry: { kind: 'x', size: 2 } }], stateAt(2));
    await store.close();
    store = under.next();
    const again = await store.open(SCOPE);
    expect(again.state()).toEqual(stateAt(2));
    expect(await again.find({ list: 1, equal: ['x'], limit: 5 })).toEqual([
      { key: 'b', sort: 2 },
      { key: 'a', sort: 1 },
    ]);
  });

  it('goes on filling what was not filled to the end', async () => {
    const stored = await store.open(SCOPE);
    await stored.apply([{ key: 'a', entry: { kind: 'x', size: 1 } }], stateAt(1));
    await store.close();
    store = under.next();
    const again = await store.open(SCOPE);
    expect(again.state()).toEqual(stateAt(1));
    await again.apply([{ key: 'b', entry: { kind: 'x', size: 2 } }], stateAt(3));
    expect(await again.find({ list: 0, equal: [], limit: 5 })).toHaveLength(2);
  });

  it.each([
    ['another incarnation of the log', { incarnation: 'life-2' }],
    ['another version', { version: '2' }],
    ['another bucket', { bucket: 't_things_v2' }],
  ])('does not go on with an index of %s', async (_of, other) => {
    const stored = await store.open({ ...SCOPE, ...other });
    await stored.apply([{ key: 'a', entry: { kind: 'x', size: 1 } }], stateAt(2));
    await store.close();
    store = under.next();
    expect((await store.open(SCOPE)).state()).toEqual(NOTHING_INDEXED);
  });

  it('fills one anew beside the one that answers', async () => {
    const old = await store.open(SCOPE);
    await old.apply([{ key: 'a', entry: { kind: 'x', size: 1 } }], stateAt(2));
    const fresh = await store.open(SCOPE, true);
    expect(fresh.state()).toEqual(NOTHING_INDEXED);
    await fresh.apply([{ key: 'b', entry: { kind: 'x', size: 1 } }], stateAt(3));
    expect(await old.find({ list: 0, equal: [], limit: 5 })).toEqual([{ key: 'a', sort: 1 }]);
    await old.remove();
    expect(await fresh.find({ list: 0, equal: [], limit: 5 })).toEqual([{ key: 'b', sort: 1 }]);
    await expect(old.find({ list: 0, equal: [], limit: 5 })).rejects.toThrow(IndexDamaged);
  });
}
