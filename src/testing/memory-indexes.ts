import { IndexDamaged } from '../projections/engine/lists/index-errors.ts';
import {
  type FoundRow,
  type IndexQuery,
  type IndexScope,
  type IndexState,
  type IndexStore,
  NOTHING_INDEXED,
  type StoredIndex,
} from '../projections/engine/lists/index-store.ts';
import {
  compareKeys,
  compareValues,
  type IndexEntry,
  placesIn,
} from '../projections/engine/lists/view-index.ts';

/** What a process has stored of its indexes; give it to the next store and it goes on with them. */
export type MemoryIndexFiles = Map<string, MemoryIndex>;

/** An index in memory: every answer is the plain filter over all entries. */
interface MemoryIndex {
  readonly scope: IndexScope;
  readonly entries: Map<string, IndexEntry>;
  state: IndexState;
  removed: boolean;
}

/** Keeps indexes in memory, for tests that need no files. */
export function createMemoryIndexes(files: MemoryIndexFiles = new Map()): IndexStore {
  return {
    open: async (scope, anew = false) => {
      const name = JSON.stringify(scope);
      const kept = anew ? undefined : files.get(name);
      const index = kept ?? { scope, entries: new Map(), state: NOTHING_INDEXED, removed: false };
      files.set(name, index);
      return opened(index, () => {
        if (files.get(name) === index) files.delete(name);
      });
    },
    close: async () => undefined,
  };
}

function opened(index: MemoryIndex, forget: () => void): StoredIndex {
  const check = (): void => {
    if (index.removed) throw new IndexDamaged(index.scope.name, new Error('it was removed'));
  };
  return {
    state: () => index.state,
    apply: async (changes, state) => {
      check();
      for (const { key, entry } of changes) {
        if (entry === undefined) index.entries.delete(key);
        else index.entries.set(key, entry);
      }
      index.state = state;
    },
    find: async (query) => {
      check();
      return found(index, query);
    },
    remove: async () => {
      index.removed = true;
      forget();
    },
  };
}

function found({ scope, entries }: MemoryIndex, query: IndexQuery): readonly FoundRow[] {
  const list = scope.lists[query.list];
  if (list === undefined) return [];
  const { equal, from, below, behind, limit } = query;
  const turn = list.descending === true ? -1 : 1;
  const order = (a: FoundRow, b: FoundRow): number =>
    turn * (compareValues(a.sort, b.sort) || compareKeys(a.key, b.key));
  const rows = [...entries].flatMap(([key, entry]) =>
    placesIn(list, entry)
      .filter((place) => place.equal.every((value, i) => value === equal[i]))
      .map(({ sort }) => ({ key, sort })),
  );
  return rows
    .filter(
      (row) =>
        (from === undefined || compareValues(row.sort, from) >= 0) &&
        (below === undefined || compareValues(row.sort, below) < 0) &&
        (behind === undefined || order(row, behind) > 0),
    )
    .sort(order)
    .slice(0, limit);
}
