import { expect, test } from 'vitest';
import { linesOf } from '../../../src/cli/parked.ts';
import { positionOf } from '../../../src/eventstore/position.ts';

const error = { name: 'Error', message: 'the card was stolen', stack: '' };
const of = { consumer: 'order-process', category: 'order', id: 'o1' };
const NOW = 10 * 60_000;
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const failed = {
  ...of,
  position: positionOf(4_711),
  attempts: 3,
  error,
  behind: false,
  firstAt: 1,
  lastAt: NOW,
  traceId,
};
const waiting = {
  ...of,
  position: positionOf(4_712),
  attempts: 0,
  error: undefined,
  behind: true,
  firstAt: 0,
  lastAt: NOW - 30_000,
  traceId: '',
};

test('what is listed says why it is parked, since when, and by which trace', () => {
  expect(linesOf([failed, waiting], 'list', false, NOW)).toEqual([
    'order-process  order/o1  position 4711  3 tries, the card was stolen  10 min old, trace 4bf92f3577b34da6a3ce929d0e0e4736',
    'order-process  order/o1  position 4712  waits behind an earlier one  30 s old, no trace',
    '2 parked.',
  ]);
  expect(linesOf([], 'list', false, NOW)).toEqual(['Nothing is parked.']);
});

test('what is asked for says what was marked, and what only would be', () => {
  expect(linesOf([failed], 'redrive', false, NOW).at(-1)).toBe('1 marked for redrive.');
  expect(linesOf([failed], 'discard', true, NOW).at(-1)).toBe('1 would be marked for discard.');
  expect(linesOf([], 'redrive', false, NOW)).toEqual(['Nothing that is parked fits.']);
});
