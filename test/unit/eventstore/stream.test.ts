import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidId } from '../../../src/eventstore/errors.ts';
import {
  checkStream,
  groupOfSlot,
  matchesFilter,
  SLOTS,
  slotDigits,
  slotOf,
  streamOfSubject,
  subjectFilter,
  subjectOf,
} from '../../../src/eventstore/stream.ts';

const ID = fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/);
const CATEGORY = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/);
const COUNTS = [1, 4, 16, 64] as const;

describe('the slot of an id', () => {
  it('never changes: these subjects are stored for ever', () => {
    const stored = {
      a: 'jl.order.0.1.3.a',
      A: 'jl.order.0.3.0.A',
      '0': 'jl.order.2.3.1.0',
      '-': 'jl.order.0.0.1.-',
      _: 'jl.order.0.0.1._',
      'order-1': 'jl.order.2.3.0.order-1',
      'order-2': 'jl.order.3.2.0.order-2',
      'SKU-1': 'jl.order.3.3.1.SKU-1',
      sku_1: 'jl.order.2.0.0.sku_1',
      '01890a5d-ac96-774b-bcce-b302099a8057': 'jl.order.0.0.3.01890a5d-ac96-774b-bcce-b302099a8057',
      '018f3f5e-7b2a-7c3d-8e4f-5a6b7c8d9e0f': 'jl.order.2.0.3.018f3f5e-7b2a-7c3d-8e4f-5a6b7c8d9e0f',
      ['x'.repeat(128)]: `jl.order.1.2.2.${'x'.repeat(128)}`,
    };
    for (const [id, subject] of Object.entries(stored))
      expect(subjectOf('jl', { category: 'order', id })).toBe(subject);
  });

  it('is pinned as a number too', () => {
    const ids = ['a', 'A', '0', '-', '_', 'order-1', 'order-2', 'SKU-1', 'sku_1', 'x'.repeat(128)];
    expect(ids.map(slotOf)).toEqual([7, 12, 45, 1, 1, 44, 56, 61, 32, 26]);
  });

  it('spreads ids over all 64 slots, none more than a fifth away from its share', () => {
    for (const name of [
      (i: number) => `order-${i}`,
      (i: number) => `0190a5dc-0000-7000-8000-${String(i).padStart(12, '0')}`,
    ]) {
      const perSlot = new Array<number>(SLOTS).fill(0);
      for (let i = 0; i < 64_000; i++) {
        const slot = slotOf(name(i));
        perSlot[slot] = (perSlot[slot] ?? 0) + 1;
      }
      expect(Math.min(...perSlot)).toBeGreaterThan(800);
      expect(Math.max(...perSlot)).toBeLessThan(1200);
    }
  });

  it('is written as three base-4 digits that give it back', () => {
    for (let slot = 0; slot < SLOTS; slot++)
      expect(Number.parseInt(slotDigits(slot).replaceAll('.', ''), 4)).toBe(slot);
  });
});

describe('a subject', () => {
  it('gives back the aggregate that it was made of', () => {
    fc.assert(
      fc.property(CATEGORY, ID, (category, id) => {
        expect(streamOfSubject(subjectOf('jl', { category, id }))).toEqual({ category, id });
      }),
    );
  });

  it('is refused for ids and categories that could form a wildcard or leave their token', () => {
    for (const id of ['', '*', '>', 'a.b', 'a b', 'a\tb', 'a\n', 'é', '%2e', 'x'.repeat(129)]) {
      expect(() => subjectOf('jl', { category: 'order', id })).toThrow(InvalidId);
    }
    for (const category of ['', 'Order', '1a', 'a.b', '*', '>', 'a-b', 'a'.repeat(33), 'a\n']) {
      expect(() => checkStream({ category, id: 'a' })).toThrow(InvalidId);
    }
  });
});

describe('a filter', () => {
  it('matches in memory exactly what its subject matches on the server', () => {
    const group = fc
      .constantFrom(...COUNTS)
      .chain((count) => fc.integer({ min: 0, max: count - 1 }).map((index) => ({ count, index })));
    fc.assert(
      fc.property(
        CATEGORY,
        ID,
        fc.option(group, { nil: undefined }),
        fc.option(CATEGORY, { nil: undefined }),
        fc.boolean(),
        (category, id, wanted, otherCategory, own) => {
          const filtered = own ? category : otherCategory;
          const filter = {
            ...(filtered === undefined ? {} : { category: filtered }),
            ...(wanted === undefined ? {} : { group: wanted }),
          };
          const stream = { category, id };
          expect(matchesFilter(filter, stream)).toBe(
            serverMatches(subjectFilter('jl', filter), subjectOf('jl', stream)),
          );
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('is one wildcard for each number of groups', () => {
    expect(subjectFilter('jl', {})).toBe('jl.>');
    expect(subjectFilter('jl', { category: 'order' })).toBe('jl.order.>');
    expect(subjectFilter('jl', { group: { count: 1, index: 0 } })).toBe('jl.>');
    expect(subjectFilter('jl', { group: { count: 4, index: 3 } })).toBe('jl.*.3.>');
    expect(subjectFilter('jl', { group: { count: 16, index: 7 } })).toBe('jl.*.1.3.>');
    expect(subjectFilter('jl', { category: 'order', group: { count: 64, index: 27 } })).toBe(
      'jl.order.1.2.3.>',
    );
  });

  it('puts each slot into exactly one group of each count', () => {
    for (const count of COUNTS) {
      const groups = Array.from({ length: SLOTS }, (_, slot) => groupOfSlot(slot, count));
      expect(new Set(groups).size).toBe(count);
      expect(groups).toEqual([...groups].sort((a, b) => a - b));
    }
  });
});

/** NATS subject matching: `*` is one token, `>` is one or more at the end. */
function serverMatches(filter: string, subject: string): boolean {
  const wanted = filter.split('.');
  const tokens = subject.split('.');
  if (wanted.at(-1) === '>') {
    return (
      tokens.length >= wanted.length && wanted.slice(0, -1).every((w, i) => w === '*' || w === tokens[i])
    );
  }
  return wanted.length === tokens.length && wanted.every((w, i) => w === '*' || w === tokens[i]);
}
