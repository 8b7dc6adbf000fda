import { expect, it } from 'vitest';
import { textOf } from '../../../src/cli/copies/fold-log.ts';

it('equal states have one text, however the engine holds their numbers', () => {
  // Its elements stay what the engine calls doubles, which v8.serialize writes in another way than whole numbers.
  const once = [1.5, 2];
  once[0] = 1;
  expect(textOf({ count: once })).toBe(textOf({ count: [1, 2] }));
});

it('states that differ have texts that differ', () => {
  const states = [
    ...[{ a: 1 }, { a: 1n }, { a: '1' }, { a: [1] }, { a: new Map([['x', 1]]) }, { a: new Map([['x', 2]]) }],
    ...[{ a: new Set(['x']) }, { a: new Set(['y']) }, { a: Uint8Array.of(1) }, { a: Uint8Array.of(2) }],
  ];
  expect(new Set(states.map(textOf)).size).toBe(states.length);
});
