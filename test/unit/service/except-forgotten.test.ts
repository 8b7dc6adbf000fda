import { expect, test } from 'vitest';
import type { CustomerStatus } from '../../../src/processes/order/ports.ts';
import { exceptForgotten } from '../../../src/service/processes.ts';

const NOW = 1_700_000_000_000;

test.each([
  ['who was forgotten is not told what waited', 'forgotten', 60_000, false],
  ['who was deactivated is told', 'deactivated', 60_000, true],
  ['what happened just now is told without a look', 'forgotten', 1_000, true],
] as const)('%s', async (_, status: CustomerStatus, age, isTold) => {
  const told: string[] = [];
  const notifier = exceptForgotten(
    { deliver: async ({ id }) => void told.push(id) },
    { customer: async () => status },
    { now: () => NOW },
  );
  const common = { kind: 'welcome', userId: 'ada', text: '', traceparent: '' } as const;
  await notifier.deliver({ id: 'n1', ...common, time: NOW - age });
  expect(told).toEqual(isTold ? ['n1'] : []);
});
