import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isoTime } from '../../../src/projections/views/json.ts';

test('a time is told as a date tells it, whatever was told before, and refused where a date refuses it', () => {
  const told = (time: number) => new Date(time).toISOString();
  const near = fc.integer({ min: 1_760_000_000_000, max: 1_760_000_200_000 });
  const any = fc.integer({ min: -8_640_000_000_000_001, max: 8_640_000_000_000_001 });
  const outcome = (tell: () => string) => {
    try {
      return tell();
    } catch (error) {
      return error instanceof RangeError ? 'refused' : error;
    }
  };
  fc.assert(
    fc.property(fc.array(fc.oneof(near, any), { maxLength: 8 }), fc.boolean(), (times, asBigInt) => {
      for (const time of times)
        expect(outcome(() => isoTime(asBigInt ? BigInt(time) : time))).toBe(outcome(() => told(time)));
    }),
    { numRuns: 1_000 },
  );
});
