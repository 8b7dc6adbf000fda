import { expect, test } from 'vitest';
import { linesOf } from '../../../src/cli/parked.ts';

const error = { name: 'Error', message: 'the card was stolen', stack: '' };
const of = { consumer: 'order-process', category: 'order', id: 'o1' };
const failed = { ...of, position: 4_711, attempts: 3, error, behind: false };
const waiting = { ...of, position: 4_712, attempts: 0, error: undefined, behind: true };

test('what is listed says why it is parked', () => {
  expect(linesOf([failed, waiting], 'list', false)).toEqual([
    'order-process  order/o1  position 4711  3 tries, the card was stolen',
    'order-process  order/o1  position 4712  waits behind an earlier one',
    '2 parked.',
  ]);
  expect(linesOf([], 'list', false)).toEqual(['Nothing is parked.']);
});

test('what is asked for says what was marked, and what only would be', () => {
  expect(linesOf([failed], 'redrive', false).at(-1)).toBe('1 marked for redrive.');
  expect(linesOf([failed], 'discard', true).at(-1)).toBe('1 would be marked for discard.');
  expect(linesOf([], 'redrive', false)).toEqual(['Nothing that is parked fits.']);
});
