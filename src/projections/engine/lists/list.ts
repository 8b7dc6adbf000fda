import { type Bucket, LogUnavailable } from '../../../eventstore/index.ts';
import type { Sealed } from '../projection.ts';
import { parseRow } from '../rows.ts';

/** Entries of a sealed page, and the most that the head keeps. */
export const PAGE_ENTRIES = 200;

/**
 * A list that only grows, as rows of a bucket: the head under the list's key holds the newest entries, and full
 * pages under `<key>.<n>` never change. Entry i of the list, in the log's order, is for ever at `i % 200` of page
 * `i / 200`; so a page that is written a second time after a crash is the same page.
 * @internal
 */
export interface ListRow<Entry> {
  /** Full pages before this row's first entry. */
  readonly pages: number;
  /** Oldest first. */
  readonly entries: readonly Entry[];
}

/** The list with one more entry at its end. @internal */
export function appendEntry<Entry>(row: ListRow<Entry> | undefined, entry: Entry): ListRow<Entry> {
  return row === undefined
    ? { pages: 0, entries: [entry] }
    : { pages: row.pages, entries: [...row.entries, entry] };
}

/** Cuts the oldest full page off a head that has more than one; a head never becomes empty. @internal */
export function sealFullPage<Entry>(
  key: string,
  row: ListRow<Entry>,
  pageEntries = PAGE_ENTRIES,
): Sealed<ListRow<Entry>> | undefined {
  const { pages, entries } = row;
  if (entries.length <= pageEntries) return undefined;
  return {
    key: `${key}.${pages}`,
    row: { pages, entries: entries.slice(0, pageEntries) },
    rest: { pages: pages + 1, entries: entries.slice(pageEntries) },
  };
}

/** Part of a list, newest first. */
export interface ListPart<Entry> {
  readonly entries: readonly Entry[];
  /** Give it as `before` to get the next older part; undefined when there is none. */
  readonly before: number | undefined;
}

/**
 * Reads up to `limit` entries, newest first, that are older than the entry with index `before`. Indices count from
 * the oldest entry, so what is appended meanwhile moves nothing. Reads the head and at most
 * `1 + ceil(limit / 200)` pages.
 * @throws LogUnavailable
 * @internal
 */
export async function readList<Entry>(
  bucket: Bucket,
  key: string,
  options: { limit: number; before?: number | undefined; leader?: boolean },
): Promise<ListPart<Entry>> {
  const stored = await bucket.get(key, { leader: options.leader ?? false });
  if (stored === undefined || stored.value.length === 0) return { entries: [], before: undefined };
  const head = parseRow(stored.value) as ListRow<Entry>;
  const first = head.pages * PAGE_ENTRIES;
  const end = Math.min(options.before ?? Number.POSITIVE_INFINITY, first + head.entries.length);
  const begin = Math.max(0, end - options.limit);
  const entries: Entry[] = [];
  if (end > first) entries.push(...head.entries.slice(Math.max(0, begin - first), end - first).reverse());
  for (
    let n = Math.ceil(Math.min(end, first) / PAGE_ENTRIES) - 1;
    (n + 1) * PAGE_ENTRIES > begin && n >= 0;
    n--
  ) {
    const page = await readPage<Entry>(bucket, `${key}.${n}`);
    const from = Math.max(0, begin - n * PAGE_ENTRIES);
    entries.push(...page.slice(from, end - n * PAGE_ENTRIES).reverse());
  }
  return { entries, before: begin > 0 ? begin : undefined };
}

/** A sealed page. It was written before the head that names it, but a replica may not have it yet. */
async function readPage<Entry>(bucket: Bucket, key: string): Promise<readonly Entry[]> {
  const row = (await bucket.get(key)) ?? (await bucket.get(key, { leader: true }));
  if (row === undefined) throw new LogUnavailable(`the page ${key} of ${bucket.name} is missing`);
  return (parseRow(row.value) as ListRow<Entry>).entries;
}
