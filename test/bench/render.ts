import type { ResultRow, Stat } from './result.ts';

/** The results of one scenario. */
export interface ResultTable {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly ResultRow[];
}

/** Where and how the results came about. */
export interface RunFacts {
  readonly date: string;
  readonly machine: string;
  readonly versions: string;
  readonly settings: string;
}

const BEGIN = '<!-- results: begin (written by `npm run bench -- --write`) -->';
const END = '<!-- results: end -->';
const HEADING = '### ';

const number = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(value >= 10 ? 1 : 2);

/** Median, with the smallest and the largest round. */
export function statText({ median, min, max }: Stat): string {
  return `${number(median)} (${number(min)} to ${number(max)})`;
}

/** Whether a row reaches what was set for it; a row without a goal or ratio says nothing. */
export function verdict({ ratio, goal, lowerIsBetter = false }: ResultRow): string {
  if (ratio === undefined || goal === undefined) return '';
  return (lowerIsBetter ? ratio <= goal : ratio >= goal) ? 'reached' : 'missed';
}

function ratioText({ ratio, between }: ResultRow): string {
  if (ratio === undefined) return '';
  const [low, high] = between ?? [];
  const interval =
    low === undefined || high === undefined ? '' : ` (${low.toFixed(2)} to ${high.toFixed(2)})`;
  return ratio.toFixed(2) + interval;
}

/** A table in Markdown under its title, with where, when and how it came about. */
export function renderTable({ title, rows }: ResultTable, facts: RunFacts): string {
  const { date, machine, versions, settings } = facts;
  const cells = rows.map((row) => [
    row.note === undefined ? row.name : `${row.name}. ${row.note}`,
    `${statText(row.product)} ${row.unit}`,
    row.baseline === undefined ? '' : `${statText(row.baseline)} ${row.unit}`,
    ratioText(row),
    row.goal === undefined ? '' : `${row.lowerIsBetter === true ? 'at most ' : ''}${row.goal}`,
    verdict(row),
  ]);
  const lines = [
    ['work', 'JetLedger', 'beside it', 'ratio', 'goal', ''],
    ['---', '---', '---', '---', '---', '---'],
    ...cells,
  ].map((line) => `| ${line.join(' | ')} |`);
  const about = `${date}, ${machine}, ${versions}; ${settings}.`;
  return [`${HEADING}${title}`, '', about, '', ...lines, ''].join('\n');
}

/**
 * Puts tables in the place of those that have the same titles between the markers of a page, and keeps the others.
 * @param order all titles there are, in the order of the page; a table under any other title goes
 * @throws RangeError when the page has no markers
 */
export function replaceTables(
  page: string,
  tables: ReadonlyMap<string, string>,
  order: readonly string[],
): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new RangeError(`The page has no markers: ${BEGIN} and ${END}`);
  const from = begin + BEGIN.length;
  const kept = page.slice(from, end).split(`\n${HEADING}`).slice(1);
  const known = new Map(kept.map((text) => [text.slice(0, text.indexOf('\n')), `${HEADING}${text}`]));
  const all = order.map((title) => tables.get(title) ?? known.get(title) ?? '').filter((text) => text !== '');
  return `${page.slice(0, from)}\n${all.map((text) => text.trim()).join('\n\n')}\n\n${page.slice(end)}`;
}
