import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBoundedCache } from '../../../src/eventstore/cache/bounded-cache.ts';

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

  it('keeps what is read again and again, however much comes by, and never forgets what came last', () => {
    const cache = createBoundedCache<number>(6);
    for (let n = 0; n < 100; n++) {
      cache.set(`k${n}`, n);
      expect([cache.get('k0'), cache.has(`k${n}`)]).toEqual([0, true]);
    }
    expect(cache.size()).toBe(6);
  });

  it('weighs what its entries weigh and no more than asked for, unless the one that came last weighs more', () => {
    const weights = fc.array(fc.record({ step, weight: fc.integer({ min: 0, max: 30 }) }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(weights, (given) => {
        const cache = createBoundedCache<{ weight: number }>(100, { limit: 20, of: ({ weight }) => weight });
        const put = new Map<string, number>();
        for (const { step: does, weight } of given) {
          const key = `k${does.key}`;
          if (does.does === 'set') {
            put.set(key, weight);
            cache.set(key, { weight });
            expect(cache.get(key)).toEqual({ weight });
          } else if (does.does === 'delete') cache.delete(key);
          else cache.get(key);
          const held = [...put].filter(([each]) => cache.has(each)).map(([, each]) => each);
          expect(cache.weight()).toBe(held.reduce((sum, each) => sum + each, 0));
          expect(held.length === 1 || cache.weight() <= 20).toBe(true);
        }
      }),
    );
  });

  it('fills its bound: what is pushed out makes room for what came and for nothing more', () => {
    const cache = createBoundedCache<number>(1_000, { limit: 100, of: () => 3 });
    for (let n = 0; n < 500; n++) {
      cache.set(`k${n}`, n);
      if (n % 3 === 0) cache.get(`k${n >> 1}`);
      expect(cache.size()).toBe(Math.min(n + 1, 33));
    }
  });

  it('lets a heavy value that changes again and again push nothing else out', () => {
    const cache = createBoundedCache<number>(100, { limit: 20, of: (weight) => weight });
    cache.set('other', 1);
    for (let n = 0; n < 100; n++) cache.set('hot', 8);
    expect([cache.get('other'), cache.size(), cache.weight()]).toEqual([1, 2, 9]);
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
