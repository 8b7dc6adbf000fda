import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeCursor,
  indexOfCursor,
  rowOfCursor,
} from '../../../src/projections/engine/lists/index-pages.ts';
import { InvalidCursor } from '../../../src/projections/engine/reading.ts';

const scope = { list: 'products', incarnation: 'life-1' };

test('a cursor gives back its place and is safe in a URL', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.integer({ min: 1 }), (sort, key, index) => {
      expect(rowOfCursor(scope, encodeCursor(scope, [sort, key]))).toEqual({ sort, key });
      expect(rowOfCursor(scope, encodeCursor(scope, [index, key]))).toEqual({ sort: index, key });
      expect(indexOfCursor(scope, encodeCursor(scope, index))).toBe(index);
      expect(encodeCursor(scope, [sort, key])).toMatch(/^[A-Za-z0-9_-]+$/);
    }),
  );
});

test('without a cursor a list begins at its start', () => {
  expect(rowOfCursor(scope, undefined)).toBeUndefined();
  expect(indexOfCursor(scope, undefined)).toBeUndefined();
});

test('anything that is not a cursor of this list and this incarnation of the log is refused', () => {
  const refused = (cursor: string) => {
    expect(() => rowOfCursor(scope, cursor)).toThrow(InvalidCursor);
    expect(() => indexOfCursor(scope, cursor)).toThrow(InvalidCursor);
  };
  for (const junk of ['', '%', 'e30', 'bnVsbA', 'W10']) refused(junk);
  refused(encodeCursor({ ...scope, list: 'orders' }, ['a', 'a']));
  refused(encodeCursor({ ...scope, incarnation: 'life-2' }, ['a', 'a']));
  expect(() => rowOfCursor(scope, encodeCursor(scope, 3))).toThrow(InvalidCursor);
  for (const index of [0, -1, 1.5]) {
    expect(() => indexOfCursor(scope, encodeCursor(scope, index))).toThrow(InvalidCursor);
  }
  fc.assert(fc.property(fc.string(), (junk) => refused(junk)));
});
