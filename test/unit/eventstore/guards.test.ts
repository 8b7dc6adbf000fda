import { expect, it } from 'vitest';
import { guard, part } from '../../../src/eventstore/commit-all.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';
import { add, meta, service, valuesOf } from './kernel.ts';

const filled = async () => {
  const one = service();
  await one.handler.execute(counter, 'g', add(3), meta('fill'));
  return one;
};

it('a guard that holds lets the others be stored, and its aggregate keeps its version', async () => {
  const { handler, log } = await filled();
  const parts = [guard(counter, 'g', 1), part(counter, 'a', add(1)), guard(counter, 'new', 'none')];
  expect(await handler.commitAll(parts, meta('c1'))).toEqual({
    outcome: 'accepted',
    versions: [0, 2, 0],
    repeated: false,
  });
  expect((await handler.load(counter, 'g')).version).toBe(1);
  expect(await valuesOf(log, 'new')).toEqual([]);
});

it('a guard on another version is a conflict that names it, and nothing is stored', async () => {
  const { handler, start, log } = await filled();
  await start().execute(counter, 'g', add(1), meta('c1'));
  const parts = [part(counter, 'a', add(1)), guard(counter, 'g', 1)];
  expect(await handler.commitAll(parts, meta('c2'))).toEqual({
    outcome: 'conflict',
    category: 'counter',
    id: 'g',
    expected: 1,
    actual: 2,
  });
  expect(await valuesOf(log, 'a')).toEqual([]);
});

it('a guard that looks at the state is asked again when the aggregate moved on, also by a process with an old cache', async () => {
  const { handler, start, log } = await filled();
  const seen: number[] = [];
  const below = (most: number) =>
    guard(counter, 'g', ({ total }) => {
      seen.push(total);
      return total < most ? undefined : { code: 'counter/full', message: 'It is full.' };
    });
  await start().execute(counter, 'g', add(4), meta('c1'));
  const result = await handler.commitAll([part(counter, 'a', add(1)), below(10)], meta('c2'));
  expect(result).toMatchObject({ outcome: 'accepted' });
  expect(seen).toEqual([3, 7]);
  expect(await start().commitAll([part(counter, 'a', add(1)), below(7)], meta('c3'))).toMatchObject({
    outcome: 'rejected',
    id: 'g',
    rejection: { code: 'counter/full' },
  });
  expect(await valuesOf(log, 'a')).toEqual([[1]]);
});

it('a commit of guards only, or with nothing else to do, is unchanged and stores nothing', async () => {
  const { handler, log } = await filled();
  expect(await handler.commitAll([guard(counter, 'g', 1)], meta('c1'))).toEqual({ outcome: 'unchanged' });
  const idle = [guard(counter, 'g', 1), part(counter, 'a', add(0))];
  expect(await handler.commitAll(idle, meta('c2'))).toEqual({ outcome: 'unchanged' });
  expect(await log.head()).toBe(1);
});

it('a repeated command is answered as the first time, although its guard does not hold any more', async () => {
  const { handler, start } = await filled();
  const parts = () => [part(counter, 'a', add(1)), guard(counter, 'g', 1)];
  const first = await handler.commitAll(parts(), meta('c1', 'x'));
  await handler.execute(counter, 'g', add(1), meta('c2'));
  expect(await start().commitAll(parts(), meta('c1', 'x'))).toEqual({ ...first, repeated: true });
});
