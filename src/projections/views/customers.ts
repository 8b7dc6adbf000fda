import { type UserEvent, user } from '../../domain/user.ts';
import type { Projection, ReadOptions, ReadRow, ViewReader } from '../engine/index.ts';

/** What the order side keeps of a user. */
export interface CustomerRow {
  readonly status: 'active' | 'deactivated' | 'forgotten';
}

/** The order side's own directory: one row per user who may or might order, by user id (protocol 12). */
export const customers: Projection<CustomerRow, UserEvent> = {
  name: 'customers',
  version: 1,
  sources: [user],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event) => {
    switch (event.$typeName) {
      case 'jetledger.user.v1.UserCreated':
        return { status: 'active' };
      case 'jetledger.user.v1.UserDeactivated':
        return row && { status: 'deactivated' };
      case 'jetledger.user.v1.UserReactivated':
        return row && { status: 'active' };
      case 'jetledger.user.v1.UserForgotten':
        return row && { status: 'forgotten' };
      case 'jetledger.user.v1.UserRenamed':
      case 'jetledger.user.v1.EmailChangeStarted':
      case 'jetledger.user.v1.EmailChanged':
      case 'jetledger.user.v1.EmailChangeAbandoned':
      case 'jetledger.user.v1.UserRegistrationAbandoned':
      case 'jetledger.user.v1.ForgettingRequested':
      case 'jetledger.user.v1.ForgettingCalledOff':
      case 'jetledger.user.v1.UserErased':
        return row;
      default:
        return event satisfies never;
    }
  },
  schema: {
    type: 'object',
    required: ['status'],
    additionalProperties: false,
    properties: { status: { enum: ['active', 'deactivated', 'forgotten'] } },
  },
};

/** What can be asked of the view. @throws ViewBehind, LogUnavailable */
export interface CustomerQueries {
  customer(userId: string, options?: ReadOptions): Promise<ReadRow | undefined>;
}

export function customerQueries(views: ViewReader): CustomerQueries {
  return { customer: (userId, options) => views.row(customers, userId, options) };
}
