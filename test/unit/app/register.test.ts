import { describe, expect, it } from 'vitest';
import { user } from '../../../src/domain/user.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { createShop, keyed, STALE_CLAIM_MS } from './shop.ts';

const ada = { userId: 'u-ada', email: ' Ada@Example.com', name: 'Ada' };
const bob = { userId: 'u-bob', email: 'ada@example.com', name: 'Bob' };

describe('registering', () => {
  it('claims the normalised address, then creates the user', async () => {
    const shop = createShop();
    const result = await shop.useCases.register(ada, keyed('k1'));
    expect(result).toMatchObject({
      outcome: 'accepted',
      repeated: false,
      state: { email: 'ada@example.com' },
    });
    expect(shop.events()).toEqual(['email EmailClaimed', 'user UserCreated']);
  });

  it('is refused while the address is in use, without a word about who has it', async () => {
    const shop = createShop();
    await shop.useCases.register(ada, keyed('k1'));
    const result = await shop.anotherProcess().useCases.register(bob, keyed('k2'));
    expect(result).toEqual({
      outcome: 'rejected',
      rejection: {
        code: 'user/email-taken',
        message: 'This e-mail address is in use; choose another one.',
      },
      version: 0,
    });
  });

  it.each([
    [{ ...ada, email: 'no address' }, 'user/invalid-email'],
    [{ ...ada, name: '' }, 'user/invalid-name'],
  ])('claims nothing for input that no state would accept', async (input, code) => {
    const shop = createShop();
    const result = await shop.useCases.register(input, keyed('k1'));
    expect(result).toMatchObject({ outcome: 'rejected', rejection: { code } });
    expect(shop.events()).toEqual([]);
  });

  it('answers the same key as before, also when the address has moved on to somebody else', async () => {
    const shop = createShop();
    const first = await shop.useCases.register(ada, keyed('k1'));
    await shop.useCases.changeEmail('u-ada', 'ada@example.org', keyed('k2'));
    await shop.useCases.register(bob, keyed('k3'));
    const before = shop.events();
    const again = await shop.anotherProcess().useCases.register(ada, keyed('k1'));
    expect(again).toEqual({ ...first, repeated: true });
    expect(shop.events()).toEqual(before);
  });

  it('refuses the same key with another body and claims nothing for it', async () => {
    const shop = createShop();
    await shop.useCases.register(ada, keyed('k1'));
    const before = shop.events();
    const other = await shop.useCases.register({ ...ada, email: 'x@example.com' }, keyed('k1', 2));
    expect(other.outcome).toBe('key-reused');
    expect(shop.events()).toEqual(before);
  });

  it('that crashed after its claim is finished by the same key', async () => {
    const shop = createShop();
    await expect(shop.failingAt('register').useCases.register(ada, keyed('k1'))).rejects.toThrow(
      LogUnavailable,
    );
    const retried = await shop.useCases.register(ada, keyed('k1'));
    expect(retried.outcome).toBe('accepted');
    expect(shop.events()).toEqual(['email EmailClaimed', 'user UserCreated']);
  });

  it('that crashed after its claim bars the address for ten seconds and no longer', async () => {
    const shop = createShop();
    await expect(shop.failingAt('register').useCases.register(ada, keyed('k1'))).rejects.toThrow(
      LogUnavailable,
    );
    shop.advance(STALE_CLAIM_MS - 1);
    const early = await shop.useCases.register(bob, keyed('k2'));
    expect(early).toMatchObject({ rejection: { message: expect.stringContaining('try again') } });
    shop.advance(1);
    const late = await shop.useCases.register(bob, keyed('k2'));
    expect(late.outcome).toBe('accepted');
  });

  it('that was taken over can never be completed late', async () => {
    const shop = createShop();
    await expect(shop.failingAt('register').useCases.register(ada, keyed('k1'))).rejects.toThrow(
      LogUnavailable,
    );
    shop.advance(STALE_CLAIM_MS);
    await shop.useCases.register(bob, keyed('k2'));
    const emailAttempt = 'whatever-0';
    const command = {
      type: 'register' as const,
      ...ada,
      email: 'ada@example.com',
      emailAttempt,
      at: shop.now(),
    };
    const late = await shop.handler.execute(user, 'u-ada', command, keyed('k1'), { assumeNew: true });
    expect(late).toMatchObject({ outcome: 'rejected', rejection: { code: 'user/registration-abandoned' } });
  });

  it('releases its claim when the user turns out to exist under another command', async () => {
    const shop = createShop();
    await shop.useCases.register(ada, keyed('k1'));
    const clash = { ...ada, email: 'other@example.com' };
    const result = await shop.useCases.register(clash, keyed('k2'));
    expect(result).toMatchObject({ outcome: 'rejected', rejection: { code: 'user/exists' } });
    const next = await shop.useCases.register({ ...bob, email: 'other@example.com' }, keyed('k3'));
    expect(next.outcome).toBe('accepted');
    expect(shop.events()).toContain('email EmailReleased');
  });
});
