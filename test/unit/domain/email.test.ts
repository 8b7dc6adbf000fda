import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { email } from '../../../src/domain/email.ts';
import { EmailClaimedSchema, EmailReleasedSchema } from '../../../src/gen/jetledger/email/v1/email_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const claimed = (userId: string, attempt: string) =>
  create(EmailClaimedSchema, { userId, attempt, claimedAt: AT_EVENT });
const released = (userId: string, attempt: string) =>
  create(EmailReleasedSchema, { userId, attempt, releasedAt: AT_EVENT });
const claim = (userId: string, attempt: string) => ({ type: 'claim', userId, attempt, at: AT }) as const;
const release = (userId: string, attempt: string) => ({ type: 'release', userId, attempt, at: AT }) as const;

describe('claiming an address', () => {
  test('succeeds when it is free', () => {
    given(email).when(claim('u1', 'a1')).thenEvents(claimed('u1', 'a1'));
  });

  test('again by the holder changes nothing', () => {
    given(email, claimed('u1', 'a1')).when(claim('u1', 'a1')).thenNothing();
  });

  test('is refused while anyone else holds it, and tells the use case who and since when', () => {
    const holder = { userId: 'u1', attempt: 'a1', claimedAt: AT };
    given(email, claimed('u1', 'a1')).when(claim('u2', 'a2')).thenRejected('email/taken', holder);
  });

  test('is refused to another attempt of the same user, and to the same attempt of another user', () => {
    const holder = { userId: 'u1', attempt: 'a1', claimedAt: AT };
    given(email, claimed('u1', 'a1')).when(claim('u1', 'a2')).thenRejected('email/taken', holder);
    given(email, claimed('u1', 'a1')).when(claim('u2', 'a1')).thenRejected('email/taken', holder);
  });

  test('never says to people who holds it', () => {
    const outcome = email.decide(claim('u2', 'a2'), given(email, claimed('holder', 'secret')).state);
    expect(outcome).toHaveProperty('message');
    expect('message' in outcome && outcome.message).not.toMatch(/holder|secret/);
  });

  test('succeeds for the next one after its release', () => {
    given(email, claimed('u1', 'a1'), released('u1', 'a1'))
      .when(claim('u2', 'a2'))
      .thenEvents(claimed('u2', 'a2'));
  });

  test('succeeds for the same user under a new attempt after its release', () => {
    given(email, claimed('u1', 'a1'), released('u1', 'a1'))
      .when(claim('u1', 'a2'))
      .thenEvents(claimed('u1', 'a2'));
  });

  test('by an attempt that was released is refused, whoever holds it now', () => {
    const history = [claimed('u1', 'a1'), released('u1', 'a1')] as const;
    given(email, ...history)
      .when(claim('u1', 'a1'))
      .thenRejected('email/attempt-released');
    given(email, ...history, claimed('u2', 'a2'))
      .when(claim('u1', 'a1'))
      .thenRejected('email/attempt-released');
  });

  test('tells attempts apart whatever characters their ids hold', () => {
    given(email, released('a","b', 'c')).when(claim('a', 'b","c')).thenEvents(claimed('a', 'b","c'));
  });
});

describe('releasing an address', () => {
  test('frees it when exactly this attempt of this user holds it', () => {
    given(email, claimed('u1', 'a1')).when(release('u1', 'a1')).thenEvents(released('u1', 'a1'));
    expect(given(email, claimed('u1', 'a1'), released('u1', 'a1')).state.status).toBe('free');
  });

  test('again changes nothing', () => {
    given(email, claimed('u1', 'a1'), released('u1', 'a1')).when(release('u1', 'a1')).thenNothing();
  });

  test('before the claim came bars that attempt', () => {
    given(email).when(release('u1', 'a1')).thenEvents(released('u1', 'a1'));
    given(email, released('u1', 'a1')).when(claim('u1', 'a1')).thenRejected('email/attempt-released');
    given(email, released('u1', 'a1')).when(release('u1', 'a1')).thenNothing();
  });

  test('by someone else bars that attempt and leaves the holder in place', () => {
    given(email, claimed('u1', 'a1')).when(release('u1', 'a2')).thenEvents(released('u1', 'a2'));
    given(email, claimed('u1', 'a1')).when(release('u2', 'a1')).thenEvents(released('u2', 'a1'));
    const { state } = given(email, claimed('u1', 'a1'), released('u1', 'a2'), released('u2', 'a1'));
    expect(state).toMatchObject({ status: 'claimed', claim: { userId: 'u1', attempt: 'a1', claimedAt: AT } });
  });

  test('late, by the old attempt, does not free the new claim of the same user', () => {
    const back = [claimed('u1', 'a1'), released('u1', 'a1'), claimed('u1', 'a3')] as const;
    given(email, ...back)
      .when(release('u1', 'a1'))
      .thenNothing();
  });
});
