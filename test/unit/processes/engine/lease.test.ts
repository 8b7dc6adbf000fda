import { expect, test } from 'vitest';
import { shareOf } from '../../../../src/processes/engine/lease.ts';

const shares = (consumer: string, count: number, members: readonly string[]): number[] =>
  members.map((own) => shareOf(consumer, count, members, own));

test.each([1, 4, 16, 64])(
  '%i groups are shared completely and evenly by any number of instances',
  (count) => {
    for (let size = 1; size <= 20; size++) {
      const members = Array.from({ length: size }, (_, n) => `instance-${n}`);
      const each = shares('orders', count, members);
      expect(each.reduce((sum, share) => sum + share, 0)).toBe(count);
      expect(Math.max(...each) - Math.min(...each)).toBeLessThanOrEqual(1);
    }
  },
);

test('consumers of one group do not all run on the same instance', () => {
  const owners = ['a', 'b', 'c', 'd'].map((consumer) => shares(consumer, 1, ['one', 'two']).indexOf(1));
  expect(new Set(owners).size).toBe(2);
});
