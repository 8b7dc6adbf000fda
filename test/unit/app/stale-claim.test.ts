import { expect, it } from 'vitest';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { createShop, emailKey, keyed, STALE_CLAIM_MS } from './shop.ts';

const ada = { userId: 'u-ada', email: 'ada@example.com', name: 'Ada' };
const emailId = emailKey.idOf('ada@example.com');
const newId = emailKey.idOf('new@example.com');

it('a claim whose registration never came is abandoned and released when it is old enough, once', async () => {
  const shop = createShop();
  await expect(shop.failingAt('register').useCases.register(ada, keyed('k1'))).rejects.toThrow(
    LogUnavailable,
  );
  shop.advance(STALE_CLAIM_MS - 1);
  expect(await shop.useCases.abandonStaleClaim(emailId)).toBe('pending');
  shop.advance(1);
  expect(await shop.anotherProcess().useCases.abandonStaleClaim(emailId)).toBe('settled');
  expect(await shop.useCases.abandonStaleClaim(emailId)).toBe('settled');
  expect(shop.events()).toEqual([
    'email EmailClaimed',
    'user UserRegistrationAbandoned',
    'email EmailReleased',
  ]);
});

it('a claim whose change of address never came is abandoned and released', async () => {
  const shop = createShop();
  await shop.useCases.register(ada, keyed('k1'));
  const broken = shop.failingAt('completeEmailChange').useCases;
  await expect(broken.changeEmail('u-ada', 'new@example.com', keyed('k2'))).rejects.toThrow(LogUnavailable);
  const before = shop.events().length;
  shop.advance(STALE_CLAIM_MS);
  expect(await shop.useCases.abandonStaleClaim(newId)).toBe('settled');
  expect(shop.events().slice(before)).toEqual(['user EmailChangeAbandoned', 'email EmailReleased']);
});

it('a claim that became its user’s address is left alone, and so is an address that nobody claimed', async () => {
  const shop = createShop();
  await shop.useCases.register(ada, keyed('k1'));
  const before = shop.events();
  shop.advance(STALE_CLAIM_MS);
  expect(await shop.useCases.abandonStaleClaim(emailId)).toBe('settled');
  expect(await shop.useCases.abandonStaleClaim(newId)).toBe('settled');
  expect(shop.events()).toEqual(before);
});

it('a claim whose attempt was abandoned before its release is released', async () => {
  const shop = createShop();
  await expect(shop.failingAt('register').useCases.register(ada, keyed('k1'))).rejects.toThrow(
    LogUnavailable,
  );
  shop.advance(STALE_CLAIM_MS);
  await expect(shop.failingAt('release').useCases.abandonStaleClaim(emailId)).rejects.toThrow(LogUnavailable);
  expect(await shop.useCases.abandonStaleClaim(emailId)).toBe('settled');
  expect(shop.events().at(-1)).toBe('email EmailReleased');
});
