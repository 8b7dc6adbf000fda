import { describe, expect, it } from 'vitest';
import { attemptOf, claimStatusOf, isAttemptOf } from '../../../src/app/claims.ts';
import { emptyKeyMap } from '../../../src/domain/key-map.ts';
import { type RegisteredUser, user } from '../../../src/domain/user.ts';

describe('the name of an attempt', () => {
  it('is the same for the same command, address and version', () => {
    expect(attemptOf('c1', 'e1', 7)).toBe(attemptOf('c1', 'e1', 7));
  });

  it('differs in command, address and version', () => {
    const names = [
      attemptOf('c1', 'e1', 7),
      attemptOf('c2', 'e1', 7),
      attemptOf('c1', 'e2', 7),
      attemptOf('c1', 'e1', 8),
    ];
    expect(new Set(names).size).toBe(4);
  });

  it('does not confuse where the command ends and the address begins', () => {
    expect(attemptOf('a', 'bc', 0)).not.toBe(attemptOf('ab', 'c', 0));
  });

  it('is recognised by its command and address from whichever version it started', () => {
    for (let version = 0; version < 300; version++) {
      const attempt = attemptOf(`c${version}`, 'e1', version);
      expect(isAttemptOf(attempt, `c${version}`, 'e1')).toBe(true);
      expect(isAttemptOf(attempt, `c${version}`, 'e2')).toBe(false);
      expect(isAttemptOf(attempt, `d${version}`, 'e1')).toBe(false);
    }
  });
});

describe('the standing of an attempt', () => {
  const registered: RegisteredUser = {
    status: 'active',
    name: 'Ada',
    email: 'ada@example.com',
    emailAttempt: 'a1',
    pending: { attempt: 'a2', email: 'ada@example.org', startedAt: 5 },
    attempts: emptyKeyMap,
    forgetting: undefined,
  };

  it('is open while the user does not exist', () => {
    expect(claimStatusOf(user.initial, 'a1')).toBe('open');
  });

  it('is dead once the registration was abandoned', () => {
    expect(claimStatusOf({ status: 'abandoned' }, 'a1')).toBe('dead');
  });

  it('is dead once the person was forgotten: whoever wants the address next has it', () => {
    expect(claimStatusOf({ status: 'forgotten', forgottenAt: 5, erasedAt: undefined }, 'a1')).toBe('dead');
  });

  it('is owner when the address of the user is claimed by it, also of a deactivated one', () => {
    expect(claimStatusOf(registered, 'a1')).toBe('owner');
    expect(claimStatusOf({ ...registered, status: 'deactivated' }, 'a1')).toBe('owner');
  });

  it('is open while it is the pending change, and dead otherwise', () => {
    expect(claimStatusOf(registered, 'a2')).toBe('open');
    expect(claimStatusOf(registered, 'a0')).toBe('dead');
    expect(claimStatusOf({ ...registered, pending: undefined }, 'a2')).toBe('dead');
  });
});
