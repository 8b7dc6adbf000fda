import { expect, it } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import { createStallWatch } from '../../../src/service/readiness.ts';

const view = (position: number, lag: number) => ({
  view: 'orders',
  position: positionOf(position),
  lag,
  running: true,
});

it('a view that stands still for ten seconds while the log moves is noticed, one that is idle or slow is not', () => {
  let now = 0;
  const watch = createStallWatch(() => now);
  const after = (ms: number, position: number, lag: number): boolean => {
    now += ms;
    return watch.stalled(view(position, lag));
  };
  expect(after(0, 5, 0)).toBe(false);
  // Idle for an hour, then the log moves: not its fault yet.
  expect(after(3_600_000, 5, 1)).toBe(false);
  expect(after(1_000, 5, 3)).toBe(false);
  expect(after(8_000, 6, 9)).toBe(false);
  expect(after(9_000, 6, 20)).toBe(false);
  expect(after(2_000, 6, 30)).toBe(true);
  expect(after(1_000, 7, 30)).toBe(false);
});
