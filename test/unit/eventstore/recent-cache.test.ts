import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRecentCache } from '../../../src/eventstore/states.ts';

const step = fc.record({
  does: fc.constantFrom('get', 'set', 'delete'),
  key: fc.integer({ min: 0, max: 12 }),
});

describe('what was used lately', () => {
  it('is at most as much as asked for, and what it gives is what was put in last', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), fc.array(step, { maxLength: 100 }), (limit, steps) => {
        const cache = createRecentCache<number>(limit);
        const put = new Map<string, number>();
        for (const [index, { does, key: number }] of steps.entries()) {
          const key = `k${number}`;
          if (does === 'set') {
            cache.set(key, index);
            put.set(key, index);
          } else if (does === 'delete') {
            cache.delete(key);
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
    const cache = createRecentCache<number>(6);
    for (let n = 0; n < 100; n++) {
      cache.set(`k${n}`, n);
      // Read each time, so that it is among the last three for good.
      expect(cache.get('k0')).toBe(0);
      for (const last of [n, n - 1]) if (last >= 0) expect(cache.has(`k${last}`)).toBe(true);
    }
  });

  it('is nothing where nothing may be kept', () => {
    const cache = createRecentCache<number>(0);
    cache.set('a', 1);
    expect([cache.get('a'), cache.size()]).toEqual([undefined, 0]);
  });
});
