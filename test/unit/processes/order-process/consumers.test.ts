import { expect, test } from 'vitest';
import { createReactions, reactionDescriptions } from '../../../../src/processes/order/reactions.ts';
import { createProcessWorld } from './process-world.ts';

test('what is said of the consumers from outside is what they are: names and categories', () => {
  const { deps } = createProcessWorld();
  async function* ofUser() {}
  const consumers = createReactions({ ...deps, openOrders: { ofUser }, staleClaimMs: 10_000 });
  const told = ({ name, sources }: (typeof reactionDescriptions)[number]) => ({
    name,
    categories: sources.map(({ category }) => category),
  });
  expect(reactionDescriptions.map(told)).toEqual(consumers.map(told));
  expect(reactionDescriptions.map(told)).toEqual([
    { name: 'order-process', categories: ['order'] },
    { name: 'stock-watch', categories: ['product'] },
    { name: 'customer-watch', categories: ['user'] },
    { name: 'email-backstop', categories: ['email'] },
  ]);
});
