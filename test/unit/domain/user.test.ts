import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type UserCommand, user } from '../../../src/domain/user.ts';
import {
  EmailChangeAbandonedSchema,
  EmailChangedSchema,
  EmailChangeStartedSchema,
  ForgettingCalledOffSchema,
  ForgettingRequestedSchema,
  UserCreatedSchema,
  UserDeactivatedSchema,
  UserErasedSchema,
  UserForgottenSchema,
  UserReactivatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
} from '../../../src/gen/jetledger/user/v1/user_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const created = create(UserCreatedSchema, {
  userId: 'u1',
  email: 'ada@example.com',
  createdAt: AT_EVENT,
  name: 'Ada',
  emailAttempt: 'a1',
});
const registrationAbandoned = create(UserRegistrationAbandonedSchema, {
  userId: 'u1',
  emailAttempt: 'a1',
  abandonedAt: AT_EVENT,
});
const started = create(EmailChangeStartedSchema, {
  attempt: 'a2',
  email: 'ada@example.org',
  startedAt: AT_EVENT,
});
const changed = create(EmailChangedSchema, {
  attempt: 'a2',
  email: 'ada@example.org',
  previousEmail: 'ada@example.com',
  previousAttempt: 'a1',
  changedAt: AT_EVENT,
});
const changeAbandoned = create(EmailChangeAbandonedSchema, {
  attempt: 'a2',
  email: 'ada@example.org',
  reason: 'email/taken',
  abandonedAt: AT_EVENT,
});
const deactivated = create(UserDeactivatedSchema, { deactivatedAt: AT_EVENT, reason: 'left' });
const reactivated = create(UserReactivatedSchema, { reactivatedAt: AT_EVENT });

const register = {
  type: 'register',
  userId: 'u1',
  email: 'ada@example.com',
  name: 'Ada',
  emailAttempt: 'a1',
  at: AT,
} as const;
const abandonRegistration = {
  type: 'abandonRegistration',
  userId: 'u1',
  emailAttempt: 'a1',
  at: AT,
} as const;
const start = { type: 'startEmailChange', attempt: 'a2', email: 'ada@example.org', at: AT } as const;
const complete = { type: 'completeEmailChange', attempt: 'a2', at: AT } as const;
const abandon = { type: 'abandonEmailChange', attempt: 'a2', reason: 'email/taken', at: AT } as const;
const rename = { type: 'rename', name: 'Ada L.', at: AT } as const;
const deactivate = { type: 'deactivate', reason: 'left', at: AT } as const;
const reactivate = { type: 'reactivate', at: AT } as const;

describe('registering', () => {
  test('creates the user under the attempt that claimed the address', () => {
    given(user).when(register).thenEvents(created);
  });

  test('stores the name in its normal form', () => {
    given(user)
      .when({ ...register, name: ' Ada ' })
      .thenEvents(created);
  });

  test('again by the same attempt changes nothing, also after the address changed', () => {
    given(user, created).when(register).thenNothing();
    given(user, created, started, changed, deactivated).when(register).thenNothing();
  });

  test('under an id that is taken is refused and names the attempt that holds the address', () => {
    given(user, created)
      .when({ ...register, emailAttempt: 'a9' })
      .thenRejected('user/exists', { emailAttempt: 'a1' });
    given(user, created, started, changed)
      .when({ ...register, emailAttempt: 'a2' })
      .thenRejected('user/exists', { emailAttempt: 'a2' });
  });

  test('after it was abandoned is refused for ever, by any attempt', () => {
    given(user, registrationAbandoned).when(register).thenRejected('user/registration-abandoned');
    given(user, registrationAbandoned)
      .when({ ...register, emailAttempt: 'a9' })
      .thenRejected('user/registration-abandoned');
  });

  test.each(['', '   ', 'x'.repeat(201), 'a\u0000b', '\ud800'])('refuses the name %j', (name) => {
    given(user)
      .when({ ...register, name })
      .thenRejected('user/invalid-name');
  });

  test.each(['', 'ada', 'Ada@example.com'])('refuses %j, which is no normalised address', (email) => {
    given(user)
      .when({ ...register, email })
      .thenRejected('user/invalid-email');
  });
});

describe('abandoning a registration', () => {
  test('bars the id while the user does not exist', () => {
    given(user).when(abandonRegistration).thenEvents(registrationAbandoned);
  });

  test('again changes nothing', () => {
    given(user, registrationAbandoned).when(abandonRegistration).thenNothing();
  });

  test('is refused once the user exists', () => {
    given(user, created).when(abandonRegistration).thenRejected('user/exists', { emailAttempt: 'a1' });
  });
});

describe('a user that does not exist', () => {
  const commands: UserCommand[] = [rename, start, complete, abandon, deactivate, reactivate];
  test.each(commands)('refuses $type', (command) => {
    given(user).when(command).thenRejected('user/not-found');
    given(user, registrationAbandoned).when(command).thenRejected('user/not-found');
  });
});

describe('renaming', () => {
  test('changes the name', () => {
    given(user, created)
      .when(rename)
      .thenEvents(create(UserRenamedSchema, { name: 'Ada L.', renamedAt: AT_EVENT }));
  });

  test('to the name that the user has changes nothing', () => {
    given(user, created)
      .when({ ...rename, name: 'Ada ' })
      .thenNothing();
    given(user, created, create(UserRenamedSchema, { name: 'Ada L.' }))
      .when(rename)
      .thenNothing();
  });

  test('to an empty name is refused', () => {
    given(user, created)
      .when({ ...rename, name: '' })
      .thenRejected('user/invalid-name');
  });

  test('is refused while the user is deactivated', () => {
    given(user, created, deactivated).when(rename).thenRejected('user/deactivated');
  });
});

describe('starting a change of address', () => {
  test('makes it pending', () => {
    given(user, created).when(start).thenEvents(started);
    expect(given(user, created, started).state).toMatchObject({
      status: 'active',
      email: 'ada@example.com',
      emailAttempt: 'a1',
      pending: { attempt: 'a2', email: 'ada@example.org', startedAt: AT },
    });
  });

  test('again by the same attempt changes nothing', () => {
    given(user, created, started).when(start).thenNothing();
  });

  test('to the address that the user has changes nothing', () => {
    given(user, created)
      .when({ ...start, email: 'ada@example.com' })
      .thenNothing();
  });

  test('is refused while another attempt is pending, even towards the address that the user has', () => {
    const details = { attempt: 'a2', startedAt: AT };
    given(user, created, started)
      .when({ ...start, attempt: 'a3' })
      .thenRejected('user/email-change-pending', details);
    given(user, created, started)
      .when({ ...start, attempt: 'a3', email: 'ada@example.com' })
      .thenRejected('user/email-change-pending', details);
  });

  test('by the pending attempt towards another address is refused, because only one address is claimed', () => {
    given(user, created, started)
      .when({ ...start, email: 'ada@example.net' })
      .thenRejected('user/email-change-pending', { attempt: 'a2', startedAt: AT });
  });

  test('never revives an attempt that was abandoned', () => {
    given(user, created, started, changeAbandoned)
      .when(start)
      .thenRejected('user/email-change-ended', { outcome: 'abandoned' });
  });

  test('never revives an attempt that was completed and later superseded', () => {
    const third = { attempt: 'a3', email: 'ada@example.net' };
    given(
      user,
      created,
      started,
      changed,
      create(EmailChangeStartedSchema, third),
      create(EmailChangedSchema, third),
    )
      .when(start)
      .thenRejected('user/email-change-ended', { outcome: 'completed' });
  });

  test('never uses the attempt of the registration again', () => {
    given(user, created)
      .when({ ...start, attempt: 'a1' })
      .thenRejected('user/email-change-ended', { outcome: 'registered' });
  });

  test('to something that is no normalised address is refused', () => {
    given(user, created)
      .when({ ...start, email: 'ADA@example.org' })
      .thenRejected('user/invalid-email');
  });

  test('is refused while the user is deactivated', () => {
    given(user, created, deactivated).when(start).thenRejected('user/deactivated');
  });
});

describe('completing a change of address', () => {
  test('moves the user to the new address and names the claim to release', () => {
    given(user, created, started).when(complete).thenEvents(changed);
    expect(given(user, created, started, changed).state).toMatchObject({
      email: 'ada@example.org',
      emailAttempt: 'a2',
      pending: undefined,
    });
  });

  test('again changes nothing, also after a later change or a deactivation', () => {
    given(user, created, started, changed).when(complete).thenNothing();
    const third = { attempt: 'a3', email: 'ada@example.net' };
    given(user, created, started, changed, create(EmailChangeStartedSchema, third))
      .when(complete)
      .thenNothing();
    given(user, created, started, changed, deactivated).when(complete).thenNothing();
  });

  test('is refused for an attempt that was abandoned, never started, or is not the pending one', () => {
    given(user, created, started, changeAbandoned)
      .when(complete)
      .thenRejected('user/email-change-not-pending');
    given(user, created).when(complete).thenRejected('user/email-change-not-pending');
    given(user, created, started)
      .when({ ...complete, attempt: 'a3' })
      .thenRejected('user/email-change-not-pending');
    given(user, created)
      .when({ ...complete, attempt: 'a1' })
      .thenRejected('user/email-change-not-pending');
  });

  test('is refused while the user is deactivated, and possible after it is reactivated', () => {
    given(user, created, started, deactivated).when(complete).thenRejected('user/deactivated');
    given(user, created, started, deactivated, reactivated).when(complete).thenEvents(changed);
  });
});

describe('abandoning a change of address', () => {
  test('gives up the pending attempt, also of a deactivated user', () => {
    given(user, created, started).when(abandon).thenEvents(changeAbandoned);
    given(user, created, started, deactivated).when(abandon).thenEvents(changeAbandoned);
  });

  test('leaves the user its address and lets another attempt start', () => {
    const { state } = given(user, created, started, changeAbandoned);
    expect(state).toMatchObject({ email: 'ada@example.com', emailAttempt: 'a1', pending: undefined });
    given(user, created, started, changeAbandoned)
      .when({ ...start, attempt: 'a3' })
      .thenEvents(create(EmailChangeStartedSchema, { ...started, attempt: 'a3' }));
  });

  test('of another attempt leaves the pending one pending', () => {
    const other = create(EmailChangeAbandonedSchema, { ...changeAbandoned, attempt: 'a3' });
    expect(given(user, created, started, other).state).toMatchObject({ pending: { attempt: 'a2' } });
  });

  test('changes nothing when that attempt is not pending', () => {
    given(user, created).when(abandon).thenNothing();
    given(user, created, started, changed).when(abandon).thenNothing();
    given(user, created, started, changeAbandoned).when(abandon).thenNothing();
    given(user, created, started)
      .when({ ...abandon, attempt: 'a3' })
      .thenNothing();
  });
});

describe('deactivating and reactivating', () => {
  test('deactivates an active user', () => {
    given(user, created).when(deactivate).thenEvents(deactivated);
    expect(given(user, created, deactivated).state).toMatchObject({ status: 'deactivated' });
  });

  test('reactivates a deactivated user', () => {
    given(user, created, deactivated).when(reactivate).thenEvents(reactivated);
    expect(given(user, created, deactivated, reactivated).state).toMatchObject({ status: 'active' });
  });

  test('changes nothing when the user is in that state already', () => {
    given(user, created, deactivated).when(deactivate).thenNothing();
    given(user, created).when(reactivate).thenNothing();
  });

  test('takes no reason, but refuses one that is too long', () => {
    given(user, created)
      .when({ ...deactivate, reason: '' })
      .thenEvents(create(UserDeactivatedSchema, { deactivatedAt: AT_EVENT, reason: '' }));
    given(user, created)
      .when({ ...deactivate, reason: 'x'.repeat(501) })
      .thenRejected('user/invalid-reason');
  });
});

const DUE = AT + 60_000;
const askForgetting = { type: 'requestForgetting', reason: 'wants to leave', dueAt: DUE, at: AT } as const;
const callOff = { type: 'callOffForgetting', at: AT } as const;
const forget = { type: 'forget', claims: [{ emailId: 'e1', attempt: 'a1' }], at: DUE } as const;
const recordErased = { type: 'recordErased', at: AT } as const;
const asked = create(ForgettingRequestedSchema, {
  requestedAt: AT_EVENT,
  reason: 'wants to leave',
  dueAt: BigInt(DUE),
});
const off = create(UserDeactivatedSchema, { deactivatedAt: AT_EVENT });
const calledOff = create(ForgettingCalledOffSchema, { calledOffAt: AT_EVENT });
const forgotten = create(UserForgottenSchema, {
  forgottenAt: BigInt(DUE),
  claims: [{ emailId: 'e1', attempt: 'a1' }],
});
const erased = create(UserErasedSchema, { erasedAt: AT_EVENT });

describe('forgetting a person', () => {
  test('deactivates the user, who may already be deactivated, and waits until it is due', () => {
    given(user, created).when(askForgetting).thenEvents(asked, off);
    given(user, created, deactivated).when(askForgetting).thenEvents(asked);
    expect(given(user, created, asked, off).state).toMatchObject({
      status: 'deactivated',
      forgetting: { requestedAt: AT, dueAt: DUE, wasActive: true },
    });
  });

  test('asked for again changes nothing, also once it is done', () => {
    given(user, created, asked, off).when(askForgetting).thenNothing();
    given(user, created, asked, off, forgotten).when(askForgetting).thenNothing();
    given(user, created, asked, off, forgotten, erased).when(forget).thenNothing();
  });

  test('that is called off leaves the user as it was before', () => {
    given(user, created, asked, off).when(callOff).thenEvents(calledOff, reactivated);
    given(user, created, deactivated, asked).when(callOff).thenEvents(calledOff);
    given(user, created).when(callOff).thenNothing();
  });

  test('keeps the user from being reactivated', () => {
    given(user, created, asked, off).when(reactivate).thenRejected('user/forgetting-requested');
    given(user, created, asked, off, calledOff, reactivated)
      .when(rename)
      .thenEvents(create(UserRenamedSchema, { name: 'Ada L.', renamedAt: AT_EVENT }));
  });

  test('is refused before it is due, and where nobody asks for it', () => {
    given(user, created, asked, off)
      .when({ ...forget, at: DUE - 1 })
      .thenRejected('user/forgetting-not-due', { dueAt: DUE });
    given(user, created, asked, off, calledOff).when(forget).thenRejected('user/forgetting-not-requested');
    given(user, created).when(recordErased).thenRejected('user/forgetting-not-requested');
  });

  test('keeps neither name nor address, and names the claims to release', () => {
    given(user, created, asked, off).when(forget).thenEvents(forgotten);
    expect(given(user, created, asked, off, forgotten).state).toEqual({
      status: 'forgotten',
      forgottenAt: DUE,
      erasedAt: undefined,
    });
    given(user, created, asked, off, forgotten).when(recordErased).thenEvents(erased);
    given(user, created, asked, off, forgotten, erased).when(recordErased).thenNothing();
  });

  const commands: UserCommand[] = [register, abandonRegistration, rename, start, complete, abandon];
  test.each([...commands, deactivate, reactivate, callOff])('makes $type impossible', (command) => {
    given(user, created, asked, off, forgotten).when(command).thenRejected('user/forgotten');
  });
});
