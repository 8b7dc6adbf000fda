import { type IndexList, type IndexValue, type ListQuery, listFor, type ViewIndex } from '../engine/index.ts';

/** A combination of filters for which there is no list; the message names those for which there are. */
export class NoSuchList extends Error {
  constructor(lists: readonly IndexList[]) {
    super(
      `There is no list for these filters together. Ask for one of: ${lists.map(combinationOf).join('; ')}.`,
    );
    this.name = 'NoSuchList';
  }
}

/** The filters of a list as clients name them, with what it is sorted by. */
export function combinationOf({ equal, sort, descending = false }: IndexList): string {
  return `${equal.join(' + ') || 'none'} (sorted by ${descending ? '-' : ''}${sort})`;
}

/**
 * The list of an index that answers these filters; those that are undefined do not count.
 * @throws NoSuchList
 */
export function listOf<Row>(
  index: ViewIndex<Row>,
  sort: string,
  filters: Readonly<Record<string, IndexValue | undefined>>,
): Pick<ListQuery<Row>, 'list' | 'equal'> {
  const equal: Record<string, IndexValue> = {};
  for (const [column, value] of Object.entries(filters)) if (value !== undefined) equal[column] = value;
  const list = listFor(index.lists, { equal: Object.keys(equal), sort });
  if (list === undefined) throw new NoSuchList(index.lists);
  return { list, equal };
}
