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

/** A table in Markdown. */
export function renderTable({ title, rows }: ResultTable): string {
  const cells = rows.map((row) => [
    row.note === undefined ? row.name : `${row.name}. ${row.note}`,
    `${statText(row.product)} ${row.unit}`,
    row.baseline === undefined ? '' : `${statText(row.baseline)} ${row.unit}`,
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
    row.goal === undefined ? '' : `${row.lowerIsBetter === true ? 'at most ' : ''}${row.goal}`,
    verdict(row),
  ]);
  const lines = [
    ['work', 'JetLedger', 'beside it', 'ratio', 'goal', ''],
    ['---', '---', '---', '---', '---', '---'],
    ...cells,
  ].map((line) => `| ${line.join(' | ')} |`);
  return [`### ${title}`, '', ...lines, ''].join('\n');
}

/** Everything that was measured, with where and how. */
export function renderResults(facts: RunFacts, tables: readonly ResultTable[]): string {
  const head = [
    `Measured ${facts.date} on ${facts.machine}.`,
    `${facts.versions}. ${facts.settings}.`,
    'Median of the rounds, in brackets the slowest and the fastest; the ratio is the median of the ratios of the rounds.',
  ];
  return [...head, '', ...tables.map(renderTable)].join('\n');
}

/** Replaces what stands between the markers of a page. @throws RangeError when the page has none */
export function replaceResults(page: string, results: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new RangeError(`The page has no markers: ${BEGIN} and ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n${results}\n${page.slice(end)}`;
}
