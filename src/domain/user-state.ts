import type { MessageShape } from '@bufbuild/protobuf';
import {
  EmailChangeAbandonedSchema,
  EmailChangedSchema,
  EmailChangeStartedSchema,
  UserCreatedSchema,
  UserDeactivatedSchema,
  UserReactivatedSchema,
  UserRegistrationAbandonedSchema,
  UserRenamedSchema,
} from '../gen/jetledger/user/v1/user_pb.ts';
import { emptyKeyMap, type KeyMap, putKey } from './key-map.ts';

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
}

export type UserState = { readonly status: 'absent' | 'abandoned' } | RegisteredUser;

/** Before the first event. */
export const noUser: UserState = { status: 'absent' };

/** Whether the user was created, and thus has a name and an address. */
export function isRegistered(state: UserState): state is RegisteredUser {
  return state.status === 'active' || state.status === 'deactivated';
}

/** What a user is after an event; total. */
export function evolveUser(state: UserState, event: UserEvent): UserState {
  if (event.$typeName === 'jetledger.user.v1.UserCreated') {
    const { name, email, emailAttempt } = event;
    const attempts = putKey<'registered'>(emptyKeyMap, emailAttempt, 'registered');
    return { status: 'active', name, email, emailAttempt, pending: undefined, attempts };
  }
  if (event.$typeName === 'jetledger.user.v1.UserRegistrationAbandoned') return { status: 'abandoned' };
  if (!isRegistered(state)) return state;
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
    default:
      event satisfies never;
      return state;
  }
}

function ended(user: RegisteredUser, attempt: string, outcome: 'completed' | 'abandoned'): RegisteredUser {
  const pending = user.pending?.attempt === attempt ? undefined : user.pending;
  return { ...user, pending, attempts: putKey(user.attempts, attempt, outcome) };
}
