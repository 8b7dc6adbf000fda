import { type Bucket, LogUnavailable } from '../../../eventstore/index.ts';
import type { Sealed } from '../projection.ts';
import { parseRow } from '../rows.ts';

/** Entries of a sealed page, and the most that the head keeps, which is written again for each entry that comes. */
const PAGE_ENTRIES = 50;
/** The same in rows that do not say it: earlier builds made them. */
const FORMER_PAGE_ENTRIES = 200;

/**
 * A list that only grows, as rows of a bucket: the head under the list's key holds the newest entries, and full
 * pages under `<key>.<n>` never change. Entry i of the list, in the log's order, is for ever at `i % size` of page
 * `i / size`; so a page that is written a second time after a crash is the same page.
 * @internal
 */
export interface ListRow<Entry> {
  /** Full pages before this row's first entry. */
  readonly pages: number;
  /** Entries of a page, the same in all rows of a list. */
  readonly size?: number;
  /** Oldest first. */
  readonly entries: readonly Entry[];
}

/** The list with one more entry at its end. @param size of the pages of a list that begins @internal */
export function appendEntry<Entry>(
  row: ListRow<Entry> | undefined,
  entry: Entry,
  size = PAGE_ENTRIES,
): ListRow<Entry> {
  return row === undefined
    ? { pages: 0, size, entries: [entry] }
    : { ...row, entries: [...row.entries, entry] };
}

const sizeOf = ({ size = FORMER_PAGE_ENTRIES }: Pick<ListRow<unknown>, 'size'>): number => size;

/** Cuts the oldest full page off a head that has more than one; a head never becomes empty. @internal */
export function sealFullPage<Entry>(key: string, row: ListRow<Entry>): Sealed<ListRow<Entry>> | undefined {
  const { pages, entries } = row;
  const size = sizeOf(row);
  if (entries.length <= size) return undefined;
  return {
    key: `${key}.${pages}`,
    row: { ...row, entries: entries.slice(0, size) },
    rest: { ...row, pages: pages + 1, entries: entries.slice(size) },
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
 * the oldest entry, so what is appended meanwhile moves nothing. Reads the head, and the pages in one request.
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
  const size = sizeOf(head);
  const first = head.pages * size;
  const end = Math.min(options.before ?? Number.POSITIVE_INFINITY, first + head.entries.length);
  const begin = Math.max(0, end - options.limit);
  const entries: Entry[] = [];
  if (end > first) entries.push(...head.entries.slice(Math.max(0, begin - first), end - first).reverse());
  const [oldest, newest] = [Math.floor(begin / size), Math.ceil(Math.min(end, first) / size) - 1];
  for (const page of await readPages<Entry>(bucket, key, oldest, newest)) {
    const at = page.pages * size;
    entries.push(...page.entries.slice(Math.max(0, begin - at), end - at).reverse());
  }
  return { entries, before: begin > 0 ? begin : undefined };
}

/** Sealed pages, the newest first. They were written before the head that names them, but a replica may not have them yet. */
async function readPages<Entry>(
  bucket: Bucket,
  key: string,
  oldest: number,
  newest: number,
): Promise<readonly ListRow<Entry>[]> {
  const keys: string[] = [];
  for (let n = newest; n >= oldest; n--) keys.push(`${key}.${n}`);
  const found = new Map((await bucket.getAll(keys)).map((row) => [row.key, row]));
  return Promise.all(
    keys.map(async (page) => {
      const row = found.get(page) ?? (await bucket.get(page, { leader: true }));
      if (row === undefined) throw new LogUnavailable(`the page ${page} of ${bucket.name} is missing`);
      return parseRow(row.value) as ListRow<Entry>;
    }),
  );
}
