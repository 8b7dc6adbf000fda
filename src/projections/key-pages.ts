import type { Bucket } from '../eventstore/bucket.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { type CursorScope, encodeCursor, keyOfCursor } from './cursor.ts';
import { type Page, type PageRequest, ViewBehind } from './read-models.ts';
import { createSortedIndex, type SortedIndex } from './sorted-index.ts';
import type { ViewAccess } from './view-access.ts';
import { DEFAULT_WAIT_MS } from './waiting.ts';

/** Pages over all rows of a view, by key, ascending. The index is built at the first page and after each switch. */
export interface KeyPages {
  /** @throws InvalidCursor, ViewBehind, LogUnavailable */
  page(request: PageRequest): Promise<Page>;
  stop(): void;
}

const PAUSE_MS = 5;

export function createKeyPages(deps: {
  view: string;
  access: ViewAccess;
  scope: CursorScope;
  runtime: Runtime;
}): KeyPages {
  const { view, access, scope, runtime } = deps;
  let current: { bucket: string; index: SortedIndex } | undefined;

  const indexOf = (bucket: Bucket): SortedIndex => {
    if (current?.bucket === bucket.name && current.index.alive()) return current.index;
    current?.index.stop();
    current = { bucket: bucket.name, index: createSortedIndex(bucket) };
    return current.index;
  };

  /** The watch comes a little after the bucket. */
  const waitFor = async (index: SortedIndex, minPosition: number, end: number): Promise<void> => {
    while (index.alive() && index.position() < minPosition) {
      if (runtime.now() >= end) throw new ViewBehind(view, minPosition, index.position());
      await runtime.sleep(PAUSE_MS);
    }
  };

  return {
    page: async (request) => {
      const { limit, cursor, minPosition } = request;
      const after = keyOfCursor(scope, cursor);
      const end = runtime.now() + (request.waitMs ?? DEFAULT_WAIT_MS);
      const bucket = await access.bucket(request);
      if (bucket === undefined) return { items: [] };
      const index = indexOf(bucket);
      const leader = minPosition !== undefined;
      if (leader) await waitFor(index, minPosition, end);
      const keys = await index.keys(after, limit + 1);
      const shown = keys.slice(0, limit);
      const rows = await Promise.all(shown.map((key) => bucket.get(key, { leader })));
      // A row may have been removed since the index was asked.
      const items = rows.flatMap((row) => (row === undefined || row.value.length === 0 ? [] : [row.value]));
      const last = shown.at(-1);
      return keys.length > limit && last !== undefined
        ? { items, next: encodeCursor(scope, last) }
        : { items };
    },
    stop: () => current?.index.stop(),
  };
}
