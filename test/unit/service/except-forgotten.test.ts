import { expect, test } from 'vitest';
import { exceptForgotten } from '../../../src/service/notifications.ts';

const NOW = 1_700_000_000_000;

test.each([
  ['who was forgotten is not told what waited', true, 60_000, false],
  ['who was not is told', false, 60_000, true],
  ['what happened just now is told without a look', true, 1_000, true],
])('%s', async (_, isForgotten, age, isTold) => {
  const told: string[] = [];
  const notifier = exceptForgotten(
    {
      deliver: async ({ id }) => {
        told.push(id);
        return { taken: true };
      },
    },
    async () => isForgotten,
    { now: () => NOW },
  );
  const common = { kind: 'welcome', userId: 'ada', text: '', traceparent: '' } as const;
  const tried = await notifier.deliver({ id: 'n1', ...common, time: NOW - age });
  // It says nothing of the receiver, which may be away.
  expect(tried).toEqual(isTold ? { taken: true } : { taken: false, unwanted: true });
  expect(told).toEqual(isTold ? ['n1'] : []);
});

test('who cannot be looked up is told later', async () => {
  const isForgotten = () => Promise.reject(new Error('away'));
  const notifier = exceptForgotten({ deliver: () => expect.unreachable() }, isForgotten, { now: () => NOW });
  const waiting = { id: 'n1', kind: 'welcome', userId: 'ada', text: '', traceparent: '', time: 0 } as const;
  expect(await notifier.deliver(waiting)).toMatchObject({ taken: false });
});
