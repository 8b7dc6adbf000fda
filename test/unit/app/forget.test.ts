import { expect, test } from 'vitest';
import { email } from '../../../src/domain/email.ts';
import { type UserEvent, user } from '../../../src/domain/user.ts';
import { readEvents } from '../../../src/eventstore/reading/read-stream.ts';
import { createMemoryKeys } from '../../support/memory-keys.ts';
import { createShop, emailKey, keyed, type Shop } from './shop.ts';

const HOUR_MS = 3_600_000;
const ada = { userId: 'ada', email: 'ada@example.com', name: 'Ada' };

/** A shop whose texts are encrypted, with one user. */
async function shopWithAda(graceMs = 0) {
  const { personal, anew, forgetting } = createMemoryKeys();
  const shop = createShop({ graceMs }, personal);
  await shop.useCases.register(ada, keyed('r'));
  return { shop, anew, forgetting };
}

const eventsOfUser = (shop: Shop): string[] => shop.events().filter((event) => event.startsWith('user '));
const stateOf = async ({ handler }: Shop) => (await handler.load(user, 'ada')).state;

async function claimsToRelease({ log }: Shop): Promise<string[] | undefined> {
  for await (const { event } of readEvents<UserEvent>(log, user, 'ada'))
    if (event.$typeName === 'jetledger.user.v1.UserForgotten')
      return event.claims.map(({ emailId }) => emailId);
  return undefined;
}

test('a person is forgotten once its time of grace is over, and not before', async () => {
  const { shop } = await shopWithAda(HOUR_MS);
  const { useCases } = shop;
  expect(await useCases.requestForgetting('ada', 'wants to', keyed('f'))).toMatchObject({
    outcome: 'accepted',
    state: { status: 'deactivated', forgetting: { dueAt: shop.now() + HOUR_MS } },
  });
  shop.advance(HOUR_MS - 1);
  expect(await useCases.forgetWhenDue('ada', shop.now())).toBe('settled');
  expect((await stateOf(shop)).status).toBe('deactivated');
  shop.advance(1);
  expect(await useCases.forgetWhenDue('ada', shop.now())).toBe('settled');
  expect((await stateOf(shop)).status).toBe('forgotten');
  expect(await useCases.forgetWhenDue('ada', shop.now())).toBe('not-erased');
});

test('asking again changes nothing, and who was called off is not forgotten', async () => {
  const { shop } = await shopWithAda();
  const { useCases, handler } = shop;
  await useCases.requestForgetting('ada', '', keyed('f'));
  expect((await useCases.requestForgetting('ada', 'again', keyed('g'))).outcome).toBe('unchanged');
  await handler.execute(user, 'ada', { type: 'callOffForgetting', at: shop.now() }, keyed('c'));
  expect(await useCases.forgetWhenDue('ada', shop.now())).toBe('settled');
  expect((await stateOf(shop)).status).toBe('active');
  expect((await useCases.requestForgetting('nobody', '', keyed('n'))).outcome).toBe('rejected');
});

test('somebody of whom a text is stored in plain is not forgotten, since that text stays', async () => {
  const plain = createShop();
  await plain.useCases.register(ada, keyed('r'));
  const refused = { outcome: 'rejected', rejection: { code: 'user/not-encrypted' } };
  expect(await plain.useCases.requestForgetting('ada', '', keyed('f'))).toMatchObject(refused);
  expect(eventsOfUser(plain)).toEqual(['user UserCreated']);
  expect(await plain.useCases.requestForgetting('nobody', '', keyed('n'))).toMatchObject({
    rejection: { code: 'user/not-found' },
  });
});

test('somebody who registered before texts were encrypted is not forgotten, whatever was written since', async () => {
  const { personal } = createMemoryKeys();
  const shop = createShop({}, { ...personal, encrypt: false });
  await shop.useCases.register(ada, keyed('r'));
  const later = shop.anotherProcess(personal);
  await later.handler.execute(user, 'ada', { type: 'rename', name: 'A.', at: shop.now() }, keyed('n'));
  expect(await later.useCases.requestForgetting('ada', '', keyed('f'))).toMatchObject({
    rejection: { code: 'user/not-encrypted' },
  });
});

test('both claims of a change that is pending are named, by which they are released', async () => {
  const { shop } = await shopWithAda();
  const { useCases } = shop;
  await expect(
    shop.failingAt('completeEmailChange').useCases.changeEmail('ada', 'ada@example.org', keyed('e')),
  ).rejects.toThrow();
  await useCases.requestForgetting('ada', '', keyed('f'));
  const [from, to] = ['ada@example.com', 'ada@example.org'].map((address) => emailKey.idOf(address));
  await useCases.forgetWhenDue('ada', shop.now());
  expect(await claimsToRelease(shop)).toEqual([from, to]);
});

test('whoever wants the address of somebody who was forgotten has it at once, and a released attempt stays barred', async () => {
  const { shop } = await shopWithAda();
  const { useCases, handler } = shop;
  await useCases.requestForgetting('ada', '', keyed('f'));
  const bob = { userId: 'bob', email: ada.email, name: 'Bob' };
  expect(await useCases.register(bob, keyed('b1'))).toMatchObject({
    rejection: { code: 'user/email-taken' },
  });
  await useCases.forgetWhenDue('ada', shop.now());
  expect((await useCases.register(bob, keyed('b2'))).outcome).toBe('accepted');
  const held = await handler.load(email, emailKey.idOf(ada.email));
  expect(held.state).toMatchObject({ status: 'claimed', claim: { userId: 'bob' } });
});

test('a person whose key is gone already is forgotten without its address', async () => {
  const { shop, anew, forgetting } = await shopWithAda();
  await shop.useCases.requestForgetting('ada', '', keyed('f'));
  await forgetting.forget('ada');
  const { useCases } = shop.anotherProcess(anew());
  expect(await useCases.forgetWhenDue('ada', shop.now())).toBe('settled');
  expect(await claimsToRelease(shop)).toEqual([]);
  const bob = { userId: 'bob', email: ada.email, name: 'Bob' };
  expect((await useCases.register(bob, keyed('b'))).outcome).toBe('accepted');
});
