import { create, type MessageShape } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../eventstore/index.ts';
import {
  EmailChangeAbandonedSchema,
  EmailChangedSchema,
  EmailChangeStartedSchema,
  EmailClaimSchema,
  ForgettingCalledOffSchema,
  ForgettingRequestedSchema,
  UserCreatedSchema,
  UserDeactivatedSchema,
  UserErasedSchema,
  UserForgottenSchema,
  UserReactivatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
} from '../gen/jetledger/user/v1/user_pb.ts';
import { emptyKeyMap, getKey, type KeyMap, putKey } from './key-map.ts';
import { normaliseEmail, normaliseName, normaliseReason, rejected, type Timed } from './values.ts';

/** The schemas of everything that can happen to a user. */
export const userEvents = [
  UserCreatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
  EmailChangeStartedSchema,
  EmailChangedSchema,
  EmailChangeAbandonedSchema,
  UserDeactivatedSchema,
  UserReactivatedSchema,
  ForgettingRequestedSchema,
  ForgettingCalledOffSchema,
  UserForgottenSchema,
  UserErasedSchema,
] as const;

/** What can happen to a user. */
export type UserEvent = MessageShape<(typeof userEvents)[number]>;

/** A change of address that was started and not yet completed or abandoned. */
export interface PendingEmailChange {
  readonly attempt: string;
  readonly email: string;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
}

/** That a person is to be forgotten, and nothing is done yet that cannot be undone. Times in milliseconds since the Unix epoch. */
export interface RequestedForgetting {
  readonly requestedAt: number;
  /** Until then it waits, however soon the orders have ended. */
  readonly dueAt: number;
  /** Whether the user was active before, and is again when it is called off. */
  readonly wasActive: boolean;
}

/** What stands in place of the name and the address of somebody who was forgotten, as of every other text of it. */
export const FORGOTTEN = 'forgotten' as const;

/** A user that was created. */
export interface RegisteredUser {
  readonly status: 'active' | 'deactivated';
  readonly name: string;
  readonly email: string;
  /** The attempt under which `email` is claimed. */
  readonly emailAttempt: string;
  readonly pending: PendingEmailChange | undefined;
  /** How each attempt ended, for ever: a late duplicate must not revive one whose claim may be released. */
  readonly attempts: KeyMap<'registered' | 'completed' | 'abandoned'>;
  readonly forgetting: RequestedForgetting | undefined;
}

/** A person who was forgotten. Times in milliseconds since the Unix epoch. */
export interface ForgottenUser {
  readonly status: 'forgotten';
  readonly forgottenAt: number;
  /** When nothing from before could be read any more; undefined while the key is still to be destroyed. */
  readonly erasedAt: number | undefined;
}

export type UserState = { readonly status: 'absent' | 'abandoned' } | RegisteredUser | ForgottenUser;

/** Before the first event. */
export const noUser: UserState = { status: 'absent' };

/** Whether the user was created and not forgotten, and thus has a name and an address. */
export function isRegistered(state: UserState): state is RegisteredUser {
  return state.status === 'active' || state.status === 'deactivated';
}

/** What a user is after an event; total. */
export function evolveUser(state: UserState, event: UserEvent): UserState {
  if (event.$typeName === 'jetledger.user.v1.UserCreated') {
    const { name, email, emailAttempt } = event;
    const attempts = putKey<'registered'>(emptyKeyMap, emailAttempt, 'registered');
    const nothing = { pending: undefined, forgetting: undefined };
    return { status: 'active', name, email, emailAttempt, attempts, ...nothing };
  }
  if (event.$typeName === 'jetledger.user.v1.UserRegistrationAbandoned') return { status: 'abandoned' };
  if (state.status === 'forgotten')
    return event.$typeName === 'jetledger.user.v1.UserErased'
      ? { ...state, erasedAt: Number(event.erasedAt) }
      : state;
  return isRegistered(state) ? evolveRegistered(state, event) : state;
}

type LaterEvent = Exclude<
  UserEvent,
  { $typeName: 'jetledger.user.v1.UserCreated' | 'jetledger.user.v1.UserRegistrationAbandoned' }
>;

function evolveRegistered(state: RegisteredUser, event: LaterEvent): UserState {
  switch (event.$typeName) {
    case 'jetledger.user.v1.UserRenamed':
      return { ...state, name: event.name };
    case 'jetledger.user.v1.EmailChangeStarted': {
      const { attempt, email, startedAt } = event;
      return { ...state, pending: { attempt, email, startedAt: Number(startedAt) } };
    }
    case 'jetledger.user.v1.EmailChanged': {
      const { attempt, email } = event;
      return { ...ended(state, attempt, 'completed'), email, emailAttempt: attempt };
    }
    case 'jetledger.user.v1.EmailChangeAbandoned':
      return ended(state, event.attempt, 'abandoned');
    case 'jetledger.user.v1.UserDeactivated':
      return { ...state, status: 'deactivated' };
    case 'jetledger.user.v1.UserReactivated':
      return { ...state, status: 'active' };
    case 'jetledger.user.v1.ForgettingRequested': {
      const [requestedAt, dueAt] = [Number(event.requestedAt), Number(event.dueAt)];
      return { ...state, forgetting: { requestedAt, dueAt, wasActive: state.status === 'active' } };
    }
    case 'jetledger.user.v1.ForgettingCalledOff':
      return { ...state, forgetting: undefined };
    case 'jetledger.user.v1.UserForgotten':
      return { status: 'forgotten', forgottenAt: Number(event.forgottenAt), erasedAt: undefined };
    case 'jetledger.user.v1.UserErased':
      return state;
    default:
      event satisfies never;
      return state;
  }
}

function ended(user: RegisteredUser, attempt: string, outcome: 'completed' | 'abandoned'): RegisteredUser {
  const pending = user.pending?.attempt === attempt ? undefined : user.pending;
  return { ...user, pending, attempts: putKey(user.attempts, attempt, outcome) };
}

/**
 * What can be asked of a user. An attempt names one try to claim an address and is never used for another address;
 * the claim itself is the aggregate `email`. Addresses are normalised.
 */
export type UserCommand =
  | Timed<{ type: 'register'; userId: string; email: string; name: string; emailAttempt: string }>
  /** Bars the id for ever, so that a late `register` cannot use a claim that is about to be released. */
  | Timed<{ type: 'abandonRegistration'; userId: string; emailAttempt: string }>
  | Timed<{ type: 'rename'; name: string }>
  | Timed<{ type: 'startEmailChange'; attempt: string; email: string }>
  | Timed<{ type: 'completeEmailChange'; attempt: string }>
  | Timed<{ type: 'abandonEmailChange'; attempt: string; reason: string }>
  | Timed<{ type: 'deactivate'; reason: string }>
  | Timed<{ type: 'reactivate' }>
  /** Deactivates at once. `dueAt`: until when it waits and can be called off, in milliseconds since the Unix epoch. */
  | Timed<{ type: 'requestForgetting'; reason: string; dueAt: number }>
  /** Reactivates whom the request had deactivated. */
  | Timed<{ type: 'callOffForgetting' }>
  /** For good. `claims`: of the address and of one that is pending, as far as their ids are known. */
  | Timed<{ type: 'forget'; claims: readonly HeldAddress[] }>
  /** The person's key is destroyed. */
  | Timed<{ type: 'recordErased' }>;

/** An address that a user holds, or is about to: the aggregate's id, and the attempt. */
export interface HeldAddress {
  readonly emailId: string;
  readonly attempt: string;
}

type CommandOf<Type extends UserCommand['type']> = Extract<UserCommand, { type: Type }>;

export interface UserRejection extends Rejection {
  readonly code:
    | 'user/not-found'
    /** Details: `emailAttempt`, the attempt whose claim holds the user's address. */
    | 'user/exists'
    | 'user/registration-abandoned'
    | 'user/deactivated'
    | 'user/forgotten'
    /** It is to be forgotten, which has to be called off first. */
    | 'user/forgetting-requested'
    | 'user/forgetting-not-requested'
    /** Details: `dueAt` (ms). */
    | 'user/forgetting-not-due'
    /** Details: `attempt` and `startedAt` (ms) of the change that is pending. */
    | 'user/email-change-pending'
    | 'user/email-change-not-pending'
    /** Details: `outcome`, how this attempt ended before. */
    | 'user/email-change-ended'
    | 'user/invalid-name'
    | 'user/invalid-email'
    | 'user/invalid-reason';
}

type Outcome = readonly UserEvent[] | UserRejection;

function decide(command: UserCommand, state: UserState): Outcome {
  if (command.type === 'register') return register(command, state);
  if (command.type === 'abandonRegistration') return abandonRegistration(command, state);
  if (state.status === 'forgotten') return ofForgotten(command, state);
  if (!isRegistered(state)) return rejected('user/not-found', 'There is no such user; register first.');
  const at = BigInt(command.at);
  switch (command.type) {
    case 'rename':
      return rename(command, state);
    case 'startEmailChange':
      return startEmailChange(command, state);
    case 'completeEmailChange':
      return completeEmailChange(command, state);
    case 'abandonEmailChange': {
      const { attempt, reason } = command;
      if (state.pending?.attempt !== attempt) return [];
      const { email } = state.pending;
      return [create(EmailChangeAbandonedSchema, { attempt, email, reason, abandonedAt: at })];
    }
    case 'deactivate': {
      if (state.status === 'deactivated') return [];
      const reason = normaliseReason(command.reason);
      if (reason === undefined) return INVALID_REASON;
      return [create(UserDeactivatedSchema, { deactivatedAt: at, reason })];
    }
    case 'reactivate': {
      if (state.forgetting !== undefined) return TO_BE_FORGOTTEN;
      return state.status === 'active' ? [] : [create(UserReactivatedSchema, { reactivatedAt: at })];
    }
    case 'requestForgetting':
      return requestForgetting(command, state);
    case 'callOffForgetting':
      return callOffForgetting(command, state);
    case 'forget':
      return forget(command, state);
    case 'recordErased':
      return NOT_TO_BE_FORGOTTEN;
  }
}

/** What is asked again of somebody who was forgotten changes nothing; whatever is new is refused. */
function ofForgotten({ type, at }: UserCommand, { erasedAt }: ForgottenUser): Outcome {
  if (type === 'requestForgetting' || type === 'forget') return [];
  if (type !== 'recordErased') return WAS_FORGOTTEN;
  return erasedAt === undefined ? [create(UserErasedSchema, { erasedAt: BigInt(at) })] : [];
}

function requestForgetting(command: CommandOf<'requestForgetting'>, user: RegisteredUser): Outcome {
  if (user.forgetting !== undefined) return [];
  const reason = normaliseReason(command.reason);
  if (reason === undefined) return INVALID_REASON;
  const [requestedAt, dueAt] = [BigInt(command.at), BigInt(command.dueAt)];
  const requested = create(ForgettingRequestedSchema, { requestedAt, reason, dueAt });
  if (user.status === 'deactivated') return [requested];
  return [requested, create(UserDeactivatedSchema, { deactivatedAt: requestedAt })];
}

function callOffForgetting({ at }: CommandOf<'callOffForgetting'>, { forgetting }: RegisteredUser): Outcome {
  if (forgetting === undefined) return [];
  const calledOff = create(ForgettingCalledOffSchema, { calledOffAt: BigInt(at) });
  return forgetting.wasActive
    ? [calledOff, create(UserReactivatedSchema, { reactivatedAt: BigInt(at) })]
    : [calledOff];
}

function forget({ claims, at }: CommandOf<'forget'>, { forgetting }: RegisteredUser): Outcome {
  if (forgetting === undefined) return NOT_TO_BE_FORGOTTEN;
  const { dueAt } = forgetting;
  if (at < dueAt) {
    const message = 'It may still be called off; this person is forgotten later.';
    return rejected('user/forgetting-not-due', message, { dueAt });
  }
  const released = claims.map((claim) => create(EmailClaimSchema, claim));
  return [create(UserForgottenSchema, { forgottenAt: BigInt(at), claims: released })];
}

function register(command: CommandOf<'register'>, state: UserState): Outcome {
  const { userId, email, emailAttempt } = command;
  if (isRegistered(state)) return getKey(state.attempts, emailAttempt) === 'registered' ? [] : exists(state);
  if (state.status === 'forgotten') return WAS_FORGOTTEN;
  if (state.status === 'abandoned') {
    const message = 'This registration took too long and was given up; register again.';
    return rejected('user/registration-abandoned', message);
  }
  const name = normaliseName(command.name);
  if (name === undefined) return INVALID_NAME;
  if (normaliseEmail(email) !== email) return INVALID_EMAIL;
  return [create(UserCreatedSchema, { userId, email, createdAt: BigInt(command.at), name, emailAttempt })];
}

function abandonRegistration(command: CommandOf<'abandonRegistration'>, state: UserState): Outcome {
  if (isRegistered(state)) return exists(state);
  if (state.status === 'forgotten') return WAS_FORGOTTEN;
  if (state.status === 'abandoned') return [];
  const { userId, emailAttempt, at } = command;
  return [create(UserRegistrationAbandonedSchema, { userId, emailAttempt, abandonedAt: BigInt(at) })];
}

function rename(command: CommandOf<'rename'>, user: RegisteredUser): Outcome {
  if (user.status === 'deactivated') return DEACTIVATED;
  const name = normaliseName(command.name);
  if (name === undefined) return INVALID_NAME;
  return name === user.name ? [] : [create(UserRenamedSchema, { name, renamedAt: BigInt(command.at) })];
}

function startEmailChange(command: CommandOf<'startEmailChange'>, user: RegisteredUser): Outcome {
  const { attempt, email, at } = command;
  if (user.status === 'deactivated') return DEACTIVATED;
  const { pending } = user;
  // An attempt with another address would complete to an address that it never claimed.
  if (pending !== undefined) {
    return pending.attempt === attempt && pending.email === email ? [] : changePending(pending);
  }
  if (email === user.email) return [];
  const outcome = getKey(user.attempts, attempt);
  if (outcome !== undefined) {
    const message = 'This change of e-mail address has already ended; start a new one.';
    return rejected('user/email-change-ended', message, { outcome });
  }
  if (normaliseEmail(email) !== email) return INVALID_EMAIL;
  return [create(EmailChangeStartedSchema, { attempt, email, startedAt: BigInt(at) })];
}

function completeEmailChange(command: CommandOf<'completeEmailChange'>, user: RegisteredUser): Outcome {
  const { attempt, at } = command;
  if (getKey(user.attempts, attempt) === 'completed') return [];
  if (user.status === 'deactivated') return DEACTIVATED;
  if (user.pending?.attempt !== attempt) {
    const message = 'This change of e-mail address is not pending; start a new one.';
    return rejected('user/email-change-not-pending', message);
  }
  const previous = { previousEmail: user.email, previousAttempt: user.emailAttempt };
  return [
    create(EmailChangedSchema, { attempt, email: user.pending.email, ...previous, changedAt: BigInt(at) }),
  ];
}

function exists({ emailAttempt }: RegisteredUser): UserRejection {
  const message = 'A user with this id exists; register under another id.';
  return rejected('user/exists', message, { emailAttempt });
}

function changePending({ attempt, startedAt }: PendingEmailChange): UserRejection {
  const message = 'Another change of e-mail address is under way; try again in a few seconds.';
  return rejected('user/email-change-pending', message, { attempt, startedAt });
}

const DEACTIVATED = rejected('user/deactivated', 'This user is deactivated; reactivate it first.');
const WAS_FORGOTTEN = rejected('user/forgotten', 'This person was forgotten; register under another id.');
const TO_BE_FORGOTTEN = rejected(
  'user/forgetting-requested',
  'This person is to be forgotten; call that off first, which reactivates the user.',
);
const NOT_TO_BE_FORGOTTEN = rejected(
  'user/forgetting-not-requested',
  'Nobody has asked for this person to be forgotten; ask for it first.',
);
const INVALID_NAME = rejected(
  'user/invalid-name',
  'Give a name of 1 to 200 characters on one line, some of them visible, none that turns the direction of writing.',
);
const INVALID_EMAIL = rejected('user/invalid-email', 'Give an e-mail address of the form name@example.com.');
const INVALID_REASON = rejected(
  'user/invalid-reason',
  'Give a reason of at most 500 characters on one line, none that turns the direction of writing.',
);

/** A person who may order; its address is unique together with the aggregate `email` (protocols 4 and 5). */
export const user: Decider<UserState, UserCommand, UserEvent, UserRejection> = {
  category: 'user',
  events: userEvents,
  initial: noUser,
  evolve: evolveUser,
  decide,
};
