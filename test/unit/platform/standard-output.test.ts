import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { linesTo } from '../../../src/platform/standard-output.ts';

let folder = '';
let fd = -1;

beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(join(tmpdir(), 'jetledger-lines-'));
  fd = openSync(join(folder, 'out'), 'w');
});
afterEach(() => {
  vi.useRealTimers();
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const written = () =>
  readFileSync(join(folder, 'out'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { msg: string }).msg);

it('a line waits for others, and not longer than 50 ms', () => {
  const logger = pino({}, linesTo(fd));
  logger.info('first');
  vi.advanceTimersByTime(30);
  logger.info('second');
  expect(written()).toEqual([]);
  vi.advanceTimersByTime(20);
  expect(written()).toEqual(['first', 'second']);
  logger.info('third');
  vi.advanceTimersByTime(50);
  expect(written()).toEqual(['first', 'second', 'third']);
});

it.each(['warn', 'error', 'fatal'] as const)(
  'a line of level %s is written at once, behind what waited',
  (level) => {
    const logger = pino({ level: 'trace' }, linesTo(fd));
    logger.trace('first');
    logger.info('second');
    logger[level]('third');
    expect(written()).toEqual(['first', 'second', 'third']);
  },
);

it('no more than 8 KB wait', () => {
  const logger = pino({}, linesTo(fd));
  logger.info('x'.repeat(5_000));
  expect(written()).toHaveLength(0);
  logger.info('x'.repeat(5_000));
  expect(written()).toHaveLength(2);
});

it('lines that cannot be written stop nobody', () => {
  const closed = openSync(join(folder, 'other'), 'w');
  closeSync(closed);
  const logger = pino({}, linesTo(closed));
  expect(() => logger.error('nobody reads this')).not.toThrow();
  expect(() => logger.flush()).not.toThrow();
});
