import { beforeEach, describe, expect, it } from 'vitest';
import { user } from '../../../src/domain/user.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { createShop, keyed, type Shop, STALE_CLAIM_MS } from './shop.ts';

const OLD = 'ada@example.com';
const NEW = 'ada@example.org';
const CHANGED = ['user EmailChangeStarted', 'email EmailClaimed', 'user EmailChanged', 'email EmailReleased'];

describe('changing an address', () => {
  let shop: Shop;
  let created: number;

  beforeEach(async () => {
    shop = createShop();
    const result = await shop.useCases.register({ userId: 'u', email: OLD, name: 'Ada' }, keyed('reg'));
    created = result.outcome === 'accepted' ? result.version : 0;
  });

  const registerOther = (email: string, key = 'reg-other') =>
    shop.useCases.register({ userId: `u-${key}`, email, name: 'Bob' }, keyed(key));
  const eventsSince = (before: readonly string[]) => shop.events().slice(before.length);

  it('starts, claims the new address, completes, and releases the old one', async () => {
    const before = shop.events();
    const result = await shop.useCases.changeEmail('u', ` ${NEW.toUpperCase()}`, keyed('k'));
    expect(result).toMatchObject({ outcome: 'accepted', repeated: false, state: { email: NEW } });
    expect(eventsSince(before)).toEqual(CHANGED);
    expect((await registerOther(OLD)).outcome).toBe('accepted');
  });

  it('back and forth leaves each address with who has it', async () => {
    await shop.useCases.changeEmail('u', NEW, keyed('k1'));
    await shop.useCases.changeEmail('u', OLD, keyed('k2'));
    expect(await registerOther(OLD, 'r1')).toMatchObject({ rejection: { code: 'user/email-taken' } });
    expect((await registerOther(NEW, 'r2')).outcome).toBe('accepted');
  });

  it('to an address in use leaves the user as it was, and the same key may succeed later', async () => {
    await registerOther(NEW);
    const refused = await shop.useCases.changeEmail('u', NEW, keyed('k'));
    expect(refused).toMatchObject({ outcome: 'rejected', rejection: { code: 'user/email-taken' } });
    expect((await shop.handler.load(user, 'u')).state).toMatchObject({ email: OLD, pending: undefined });
    await shop.useCases.changeEmail('u-reg-other', 'bob@example.org', keyed('away'));
    expect((await shop.useCases.changeEmail('u', NEW, keyed('k'))).outcome).toBe('accepted');
  });

  it('to the address that the user has changes nothing', async () => {
    const before = shop.events();
    expect((await shop.useCases.changeEmail('u', OLD, keyed('k'))).outcome).toBe('unchanged');
    expect(eventsSince(before)).toEqual([]);
  });

  it.each([
    ['u', 'no address', 'user/invalid-email'],
    ['nobody', NEW, 'user/not-found'],
  ])('stores nothing for input that is refused', async (id, address, code) => {
    const before = shop.events();
    const result = await shop.useCases.changeEmail(id, address, keyed('k'));
    expect(result).toMatchObject({ outcome: 'rejected', rejection: { code } });
    expect(eventsSince(before)).toEqual([]);
  });

  it.each(['claim', 'completeEmailChange'])(
    'that crashed before "%s" is finished by the same key',
    async (step) => {
      const before = shop.events();
      const crashing = shop.failingAt(step).useCases.changeEmail('u', NEW, keyed('k'), { expected: created });
      await expect(crashing).rejects.toThrow(LogUnavailable);
      // The expectation held when the change started; its own first step has moved the version since.
      const retried = await shop.useCases.changeEmail('u', NEW, keyed('k'), { expected: created });
      expect(retried.outcome).toBe('accepted');
      expect(eventsSince(before)).toEqual(CHANGED);
    },
  );

  it('that could not release the old address is a success, and whoever wants that address gets it at once', async () => {
    const result = await shop.failingAt('release').useCases.changeEmail('u', NEW, keyed('k'));
    expect(result.outcome).toBe('accepted');
    expect((await registerOther(OLD)).outcome).toBe('accepted');
  });

  it('repeated with the same key is answered as before and releases what was left', async () => {
    const first = await shop.failingAt('release').useCases.changeEmail('u', NEW, keyed('k'));
    const before = shop.events();
    const again = await shop.useCases.changeEmail('u', NEW, keyed('k'));
    expect(again).toEqual({ ...first, repeated: true });
    expect(eventsSince(before)).toEqual(['email EmailReleased']);
    expect((await shop.useCases.changeEmail('u', 'x@example.com', keyed('k', 2))).outcome).toBe('key-reused');
  });

  it('is a conflict when the user is at another version than the caller expects', async () => {
    const result = await shop.useCases.changeEmail('u', NEW, keyed('k'), { expected: created - 1 });
    expect(result).toMatchObject({ outcome: 'conflict', expected: created - 1, actual: created });
  });

  it('waits for another pending change while that is young, and ends it when it is stale', async () => {
    const crashing = shop.failingAt('claim').useCases.changeEmail('u', 'first@example.com', keyed('k1'));
    await expect(crashing).rejects.toThrow(LogUnavailable);
    const { version } = await shop.handler.load(user, 'u');
    const young = await shop.useCases.changeEmail('u', NEW, keyed('k2'));
    expect(young).toMatchObject({ rejection: { code: 'user/email-change-pending' } });
    shop.advance(STALE_CLAIM_MS);
    const stale = await shop.useCases.changeEmail('u', NEW, keyed('k2'), { expected: version });
    expect(stale).toMatchObject({ outcome: 'accepted', state: { email: NEW } });
  });

  it('that was left pending gives its address up to whoever wants it after ten seconds', async () => {
    const crashing = shop.failingAt('completeEmailChange').useCases.changeEmail('u', NEW, keyed('k'));
    await expect(crashing).rejects.toThrow(LogUnavailable);
    expect(await registerOther(NEW)).toMatchObject({ rejection: { code: 'user/email-taken' } });
    shop.advance(STALE_CLAIM_MS);
    expect((await registerOther(NEW)).outcome).toBe('accepted');
    expect(await shop.useCases.changeEmail('u', NEW, keyed('k'))).toMatchObject({ outcome: 'rejected' });
    expect((await shop.handler.load(user, 'u')).state).toMatchObject({ email: OLD, pending: undefined });
  });

  it('of a user who was deactivated meanwhile is refused and gives the new address up', async () => {
    const crashing = shop.failingAt('completeEmailChange').useCases.changeEmail('u', NEW, keyed('k'));
    await expect(crashing).rejects.toThrow(LogUnavailable);
    await shop.handler.execute(user, 'u', { type: 'deactivate', reason: '', at: shop.now() }, keyed('off'));
    const result = await shop.useCases.changeEmail('u', NEW, keyed('k'));
    expect(result).toMatchObject({ outcome: 'rejected', rejection: { code: 'user/deactivated' } });
    expect((await registerOther(NEW)).outcome).toBe('accepted');
  });
});
