import { create, type MessageShape } from '@bufbuild/protobuf';
import { type UserEvent, user } from '../../domain/user.ts';
import {
  UserDeactivatedSchema,
  UserForgottenSchema,
  UserReactivatedSchema,
  UserRegisteredSchema,
} from '../../gen/jetledger/public/users/v1/users_pb.ts';
import type { PublicContract } from '../engine/index.ts';

const events = [
  UserRegisteredSchema,
  UserDeactivatedSchema,
  UserReactivatedSchema,
  UserForgottenSchema,
] as const;

/** The users, by id and without anything personal. */
export const users: PublicContract<UserEvent, MessageShape<(typeof events)[number]>> = {
  context: 'users',
  version: 1,
  tells: 'who is registered, by id only',
  source: user,
  events,
  toPublic: {
    'jetledger.user.v1.UserCreated': ({ createdAt }, { id: userId }) =>
      create(UserRegisteredSchema, { userId, registeredAt: createdAt }),
    'jetledger.user.v1.UserDeactivated': ({ deactivatedAt }, { id: userId }) =>
      create(UserDeactivatedSchema, { userId, deactivatedAt }),
    'jetledger.user.v1.UserReactivated': ({ reactivatedAt }, { id: userId }) =>
      create(UserReactivatedSchema, { userId, reactivatedAt }),
    'jetledger.user.v1.UserForgotten': ({ forgottenAt }, { id: userId }) =>
      create(UserForgottenSchema, { userId, forgottenAt }),
    'jetledger.user.v1.UserRenamed': 'private',
    'jetledger.user.v1.UserRegistrationAbandoned': 'private',
    'jetledger.user.v1.EmailChangeStarted': 'private',
    'jetledger.user.v1.EmailChanged': 'private',
    'jetledger.user.v1.EmailChangeAbandoned': 'private',
    'jetledger.user.v1.ForgettingRequested': 'private',
    'jetledger.user.v1.ForgettingCalledOff': 'private',
    'jetledger.user.v1.UserErased': 'private',
  },
};
