import type { StreamConfig } from '@nats-io/jetstream';
import { expect, it } from 'vitest';
import { BEGINNING, INCARNATION_KEY, logStreamConfig } from '../../../src/eventstore/index.ts';
import {
  createLossJudge,
  isAtWork,
  type Losses,
  lossOfConfiguration,
  lossOfLog,
  lossOfServer,
  lossOfView,
} from '../../../src/service/losses.ts';

/** A judge, and the lines that it wrote. */
function judgeWithLines() {
  const lines: string[] = [];
  const write =
    (level: string) =>
    ({ check }: { check: string }, line: string): void =>
      void lines.push(`${level} ${check}: ${line}`);
  // Only these two of its logger are called, each with fields and a sentence.
  const logger = { error: write('error'), info: write('info') } as Parameters<typeof createLossJudge>[0];
  return { lines, ...createLossJudge(logger) };
}

const nothing: Losses = new Map();
const gone: Losses = new Map([['view orders', 'its bucket is gone']]);

it('a loss counts and is logged once when two looks in a row found it, and so is its end', () => {
  const { take, latest, lines } = judgeWithLines();
  take(gone);
  expect([latest().size, lines.length]).toEqual([0, 0]);
  for (const _ of [1, 2, 3]) take(gone);
  expect(latest()).toEqual(gone);
  expect(lines).toEqual(['error view orders: its bucket is gone']);
  take(nothing);
  expect(latest().size).toBe(0);
  expect(lines).toHaveLength(2);
});

it('what one look found and the next did not is no loss', () => {
  const { take, latest, lines } = judgeWithLines();
  for (const found of [gone, nothing, gone, nothing]) {
    take(found);
    expect(latest().size).toBe(0);
  }
  expect(lines).toEqual([]);
});

it('a loss that turns into another one of the same check is told anew', () => {
  const { take, lines } = judgeWithLines();
  for (const _ of [1, 2]) take(new Map([['log', 'no stream']]));
  for (const _ of [1, 2]) take(new Map([['log', 'another incarnation']]));
  expect(lines).toEqual(['error log: no stream', 'error log: another incarnation']);
});

it('a view that is at work with all of its groups lacks nothing, and any other is looked after', () => {
  const sound = {
    view: 'orders',
    position: BEGINNING,
    lag: 0,
    running: true,
    groups: { owned: 4, of: 4 },
  } as const;
  expect(isAtWork(sound)).toBe(true);
  expect(isAtWork({ ...sound, running: false })).toBe(false);
  expect(isAtWork({ ...sound, lastError: 'its bucket is gone' })).toBe(false);
  expect(isAtWork({ ...sound, groups: { owned: 0, of: 4 } })).toBe(false);
});

it('each loss names one cure: a command, or to restart', () => {
  const settings = { stream: 'LOG', prefix: 'jl', replicas: 1 };
  const made = (incarnation: string, more = {}) =>
    ({ ...logStreamConfig(settings, { [INCARNATION_KEY]: incarnation }), ...more }) as StreamConfig;
  expect(lossOfLog('LOG', 'life-1', made('life-1'))).toBeUndefined();
  expect(lossOfLog('LOG', 'life-1', made('life-2'))).toMatch(/life-2.*life-1.*Restart the service$/);
  expect(lossOfLog('LOG', 'life-1', undefined)).toContain('jetledger restore');
  expect([lossOfConfiguration(settings, made('life-1')), lossOfConfiguration(settings, undefined)]).toEqual([
    undefined,
    undefined,
  ]);
  expect(lossOfConfiguration(settings, made('life-1', { max_age: 1 }))).toMatch(
    /was changed: it has a limit on messages, bytes or age\. Put it back as jetledger topology plan shows it$/,
  );
  expect(lossOfServer('2.11.9')).toMatch(/2\.11\.9, and 2\.12\.0 or later.*Update it$/);
  expect([lossOfServer('2.12.0'), lossOfServer(undefined)]).toEqual([undefined, undefined]);
  const report = { view: 'orders', bucket: 'jl_orders_v1', position: 0, lag: 0 };
  expect(lossOfView({ ...report, state: 'lost' })).toMatch(/jl_orders_v1 is gone.*jetledger rebuild orders$/);
  expect(lossOfView({ ...report, state: 'foreign' })).toMatch(/Run: jetledger rebuild orders$/);
  for (const state of ['sound', 'never-run', 'other-version'] as const)
    expect(lossOfView({ ...report, state })).toBeUndefined();
});
