import { describe, expect, it } from 'vitest';
import { intervalOf, ratioOf, rounded } from '../../bench/measure.ts';
import { renderTable, replaceTables, verdict } from '../../bench/render.ts';
import { type ResultRow, statOf } from '../../bench/result.ts';

const row: ResultRow = {
  name: 'append',
  ratio: 1.333,
  goal: 1.3,
  product: { median: 40_000, min: 39_000, max: 41_000.4 },
  baseline: { median: 30_000, min: 1.234, max: 31_000 },
  unit: 'commits/s',
};
const facts = { date: '2030-01-01', machine: 'a machine', versions: 'Node.js 20', settings: '3 rounds' };

describe('the statistics of a benchmark', () => {
  it('are the median and the extremes, of an even number of rounds the mean of the middle two', () => {
    expect(statOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(statOf([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => statOf([])).toThrow(RangeError);
  });

  it('compare each round with itself, so that a slow round spoils no ratio', () => {
    expect(ratioOf([20, 2, 22], [10, 1, 11])).toBe(2);
  });

  it('tell between which rounds the true ratio lies, without the ends where there are enough rounds for that', () => {
    const ones = (rounds: number) => Array.from({ length: rounds }, () => 1);
    const upTo = (rounds: number) => Array.from({ length: rounds }, (_, round) => rounds - round);
    expect(intervalOf(upTo(3), ones(3))).toEqual([1, 3]);
    expect(intervalOf(upTo(6), ones(6))).toEqual([1, 6]);
    expect(intervalOf(upTo(9), ones(9))).toEqual([2, 8]);
    expect(intervalOf(upTo(20), ones(20))).toEqual([6, 15]);
  });

  it('are rounded to what they can mean', () => {
    expect(rounded([1234.56, 1.26])).toEqual({ median: 618, min: 1.3, max: 1235 });
  });
});

describe('the page of results', () => {
  it('says of each row what was reached', () => {
    expect(renderTable({ name: 'a', title: 'Appending', rows: [row] }, facts)).toBe(
      [
        '### Appending',
        '',
        '2030-01-01, a machine, Node.js 20; 3 rounds.',
        '',
        '| work | JetLedger | beside it | ratio | goal |  |',
        '| --- | --- | --- | --- | --- | --- |',
        '| append | 40,000 (39,000 to 41,000) commits/s | 30,000 (1.23 to 31,000) commits/s | 1.33 | 1.3 | reached |',
        '',
      ].join('\n'),
    );
  });

  it('puts behind a ratio between what it lies', () => {
    const table = renderTable({ name: 'a', title: 'A', rows: [{ ...row, between: [1.2, 1.444] }] }, facts);
    expect(table).toContain('| 1.33 (1.20 to 1.44) |');
  });

  it('calls a ratio below its goal missed, and says nothing without one', () => {
    expect(verdict({ ...row, ratio: 1.2999 })).toBe('missed');
    const { goal: _, ...open } = row;
    expect(verdict(open)).toBe('');
  });

  it('takes the goal of a row whose lower ratio is better for the most it may be', () => {
    expect(verdict({ ...row, lowerIsBetter: true, ratio: 1.2999 })).toBe('reached');
    expect(verdict({ ...row, lowerIsBetter: true, ratio: 1.3001 })).toBe('missed');
  });

  const page = (...tables: string[]) =>
    `# Title\n### Not a table\n<!-- results: begin (written by \`npm run bench -- --write\`) -->\n${tables.join('\n')}\n<!-- results: end -->\nafter\n`;
  const table = (title: string, rows: string) => `### ${title}\n\n2030-01-01\n\n| ${rows} |\n`;
  const order = ['A', 'B', 'C'];

  it('replaces the tables that were measured, keeps the others, and touches nothing else', () => {
    const before = page(table('A', 'old'), table('C', 'old'));
    const measured = new Map([
      ['C', table('C', 'new')],
      ['B', table('B', 'new')],
    ]);
    expect(replaceTables(before, measured, order)).toBe(
      page(table('A', 'old'), table('B', 'new'), table('C', 'new')),
    );
  });

  it('drops a table that no scenario makes any more', () => {
    expect(replaceTables(page(table('gone', 'old'), table('A', 'old')), new Map(), order)).toBe(
      page(table('A', 'old')),
    );
  });

  it('comes to the same when it is written again, and refuses a page without markers', () => {
    const once = replaceTables(page(), new Map([['A', table('A', 'new')]]), order);
    expect(replaceTables(once, new Map([['A', table('A', 'new')]]), order)).toBe(once);
    expect(() => replaceTables('no markers', new Map(), order)).toThrow(RangeError);
  });
});
