import { expect, test } from 'vitest';
import { reactions } from '../../../../src/service/shop.ts';
import { createProcessWorld } from './process-world.ts';

test('a reaction is made with the name and the categories that the list says', () => {
  const { deps } = createProcessWorld();
  async function* ofUser() {}
  const made = reactions.map(({ create }) =>
    create({ ...deps, openOrders: { ofUser }, staleClaimMs: 10_000, askToErase: async () => undefined }),
  );
  const told = ({ name, sources }: Pick<(typeof reactions)[number], 'name' | 'sources'>) => ({
    name,
    categories: sources.map(({ category }) => category),
  });
  expect(made.map(told)).toEqual(reactions.map(told));
  expect(new Set(reactions.map(({ name }) => name)).size).toBe(reactions.length);
  expect(reactions.length).toBeGreaterThan(3);
});
