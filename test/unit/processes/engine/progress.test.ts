import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BEGINNING, numberOf, positionOf } from '../../../../src/eventstore/position.ts';
import { createProgress, floorOf } from '../../../../src/processes/engine/cursor.ts';

const beginning = { high: BEGINNING, open: [] };

test('the floor stops before the first gap', () => {
  const progress = createProgress(beginning);
  for (const position of [2, 5, 9]) progress.begin(positionOf(position));
  progress.finish(positionOf(5));
  progress.finish(positionOf(9));
  expect(progress.low).toBe(1);
  expect(progress.state()).toEqual({ high: 9, open: [2] });
  progress.finish(positionOf(2));
  expect(progress.low).toBe(9);
});

test('positions that do not concern the consumer move the floor when nothing is open', () => {
  const progress = createProgress(beginning);
  progress.pass(positionOf(7));
  expect(progress.state()).toEqual({ high: 7, open: [] });
});

test('a successor handles what was open and skips what was done', () => {
  const progress = createProgress({ high: positionOf(9), open: [positionOf(2), positionOf(7)] });
  expect(progress.seen).toBe(1);
  expect([2, 5, 7, 9, 11].filter((position) => progress.begin(positionOf(position)))).toEqual([2, 7, 11]);
});

test('what a predecessor has done is not forgotten while it is read again', () => {
  const progress = createProgress({ high: positionOf(9), open: [positionOf(2), positionOf(7)] });
  progress.begin(positionOf(2));
  progress.finish(positionOf(2));
  progress.begin(positionOf(3));
  expect(progress.state()).toEqual({ high: 9, open: [7] });
});

test('through any number of takeovers every commit is done once it was finished, and none before', () => {
  const step = fc.record({ finish: fc.nat(20), takeover: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const finished = new Set<number>();
      let progress = createProgress(beginning);
      let next = 1;
      for (const { finish, takeover } of steps) {
        if (takeover) {
          progress = createProgress(progress.state());
          next = numberOf(progress.seen) + 1;
        }
        const handle = progress.begin(positionOf(next));
        expect(handle).toBe(!finished.has(next));
        next++;
        const { open } = progress.state();
        const chosen = open.filter((position) => numberOf(position) < next)[
          finish % Math.max(1, open.length)
        ];
        if (chosen === undefined) continue;
        progress.finish(chosen);
        finished.add(numberOf(chosen));
        for (let at = 1; at <= numberOf(floorOf(progress.state())); at++) expect(finished.has(at)).toBe(true);
      }
    }),
  );
});
