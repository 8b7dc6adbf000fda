import { expect, it } from 'vitest';
import { user } from '../../../../src/domain/user.ts';
import { createAccountNotices } from '../../../../src/processes/order/account-notices.ts';
import { createProcessWorld, deliveryAt, NOW, settle } from './process-world.ts';

const at = NOW;

it('a registration and a completed change of address are told once each, with ids that a repetition has too', async () => {
  const world = createProcessWorld();
  const ask = (command: Parameters<typeof user.decide>[0]) => world.execute(user, 'u1', command);
  const email = 'ada@example.com';
  await ask({ type: 'register', userId: 'u1', email, name: 'Ada', emailAttempt: 'a', at });
  await ask({ type: 'rename', name: 'Ada King', at });
  await ask({ type: 'startEmailChange', attempt: 'b', email: 'king@example.com', at });
  await ask({ type: 'abandonEmailChange', attempt: 'b', reason: 'late', at });
  await ask({ type: 'startEmailChange', attempt: 'c', email: 'king@example.com', at });
  await ask({ type: 'completeEmailChange', attempt: 'c', at });
  await settle(world, createAccountNotices(world.deps));
  const idAt = (position: number) =>
    deliveryAt(world.store, position, createAccountNotices(world.deps)).events[0]?.id;
  expect(world.notifications).toMatchObject([
    { id: `${idAt(1)}/welcome`, kind: 'welcome', userId: 'u1' },
    { id: `${idAt(6)}/email-changed`, kind: 'email-changed', userId: 'u1' },
  ]);
  expect(JSON.stringify(world.notifications)).not.toMatch(/example\.com|Ada/);
  const first = [...world.notifications];
  await settle(world, createAccountNotices(world.deps));
  expect(world.notifications).toEqual([...first, ...first]);
});
