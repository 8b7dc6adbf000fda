import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBoundedCache } from '../../../src/eventstore/bounded-cache.ts';

const step = fc.record({
  does: fc.constantFrom('get', 'set', 'delete'),
  key: fc.integer({ min: 0, max: 12 }),
});

describe('what was used lately', () => {
  it('is at most as much as asked for, and what it gives is what was put in last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), fc.array(step, { maxLength: 100 }), (limit, steps) => {
        const cache = createBoundedCache<number>(limit);
        const put = new Map<string, number>();
        for (const [index, { does, key: number }] of steps.entries()) {
          const key = `k${number}`;
          if (does === 'set') {
            cache.set(key, index);
            put.set(key, index);
          } else if (does === 'delete') {
            const held = cache.has(key) ? put.get(key) : undefined;
            expect(cache.delete(key)).toBe(held);
            put.delete(key);
          }
          const found = cache.get(key);
          expect([undefined, put.get(key)]).toContain(found);
          expect(cache.has(key)).toBe(found !== undefined);
          expect(cache.size()).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it('holds the half of it that was used last', () => {
    const cache = createBoundedCache<number>(6);
    for (let n = 0; n < 100; n++) {
      cache.set(`k${n}`, n);
      // Read each time, so that it is among the last three for good.
      expect(cache.get('k0')).toBe(0);
      for (const last of [n, n - 1]) if (last >= 0) expect(cache.has(`k${last}`)).toBe(true);
    }
  });

  it('weighs no more than asked for and the last of each half, and never forgets what came last', () => {
    const weights = fc.array(fc.record({ step, weight: fc.integer({ min: 0, max: 9 }) }), { maxLength: 100 });
    fc.assert(
      fc.property(weights, (given) => {
        const cache = createBoundedCache<{ weight: number }>(100, { limit: 20, of: ({ weight }) => weight });
        const put = new Map<string, number>();
        for (const {
          step: { does, key: number },
          weight,
        } of given) {
          const key = `k${number}`;
          if (does === 'set') {
            put.set(key, weight);
            cache.set(key, { weight });
          } else if (does === 'delete') cache.delete(key);
          const found = cache.get(key);
          if (does === 'set') expect(found).toEqual({ weight });
          const held = [...put].filter(([each]) => cache.has(each));
          expect(held.reduce((sum, [, each]) => sum + each, 0)).toBeLessThanOrEqual(20 + 2 * 9);
        }
      }),
    );
  });

  it('lets a heavy value that changes again and again push nothing else out', () => {
    const cache = createBoundedCache<number>(100, { limit: 20, of: (weight) => weight });
    cache.set('other', 1);
    for (let n = 0; n < 100; n++) cache.set('hot', 8);
    expect([cache.get('other'), cache.size()]).toEqual([1, 2]);
    cache.delete('hot');
    for (const key of ['a', 'b']) cache.set(key, 4);
    expect(cache.has('other')).toBe(true);
  });

  it('is nothing where nothing may be kept', () => {
    const cache = createBoundedCache<number>(0);
    cache.set('a', 1);
    expect([cache.get('a'), cache.size()]).toEqual([undefined, 0]);
  });
});
