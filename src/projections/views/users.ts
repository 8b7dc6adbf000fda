import { type UserEvent, user } from '../../domain/user.ts';
import { versionAt } from '../../eventstore/index.ts';
import type { Projection, ReadOptions, ReadRow, ViewReader } from '../engine/index.ts';

import { isoTime } from './json.ts';

/** A user as the API serves it. */
export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly status: 'active' | 'deactivated';
  readonly createdAt: string;
  readonly version: number;
}

/** One row per user, by id. A registration that was given up leaves no row; a pending change of address does not show. */
export const users: Projection<UserRow, UserEvent> = {
  name: 'users',
  version: 1,
  sources: [user],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, context) => {
    if (event.$typeName === 'jetledger.user.v1.UserCreated') {
      const { name, email, createdAt } = event;
      const at = { createdAt: isoTime(createdAt), version: versionAt(context.position) };
      return { id: context.stream.id, name, email, status: 'active', ...at };
    }
    return row === undefined ? undefined : { ...changed(row, event), version: versionAt(context.position) };
  },
  schema: {
    type: 'object',
    required: ['id', 'name', 'email', 'status', 'createdAt', 'version'],
    additionalProperties: false,
    properties: {
      id: { type: 'string' },
      name: { type: 'string' },
      email: { type: 'string' },
      status: { enum: ['active', 'deactivated'] },
      createdAt: { type: 'string', format: 'date-time' },
      version: { type: 'integer' },
    },
  },
};

function changed(row: UserRow, event: Exclude<UserEvent, { $typeName: 'jetledger.user.v1.UserCreated' }>) {
  switch (event.$typeName) {
    case 'jetledger.user.v1.UserRenamed':
      return { ...row, name: event.name };
    case 'jetledger.user.v1.EmailChanged':
      return { ...row, email: event.email };
    case 'jetledger.user.v1.UserDeactivated':
      return { ...row, status: 'deactivated' as const };
    case 'jetledger.user.v1.UserReactivated':
      return { ...row, status: 'active' as const };
    case 'jetledger.user.v1.EmailChangeStarted':
    case 'jetledger.user.v1.EmailChangeAbandoned':
    case 'jetledger.user.v1.UserRegistrationAbandoned':
      return row;
    default:
      return event satisfies never;
  }
}

/** What can be asked of the view. @throws ViewBehind, LogUnavailable */
export interface UserQueries {
  user(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
}

export function userQueries(views: ViewReader): UserQueries {
  return { user: (id, options) => views.row(users, id, options) };
}
