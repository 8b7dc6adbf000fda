import { order } from '../../domain/order.ts';
import { type UserEvent, user } from '../../domain/user.ts';
import { latest, type Position, positionOfVersion, type Runtime } from '../../eventstore/index.ts';
import type { Cause, Reaction, ReactionContext } from '../engine/index.ts';
import type { CustomerDirectory, OpenOrders } from './ports.ts';
import type { ReactionDefinition } from './reactions.ts';

export interface CustomerWatchDeps {
  readonly runtime: Runtime;
  readonly directory: CustomerDirectory;
  readonly openOrders: Pick<OpenOrders, 'ofUser'>;
}

/** The entry of the service's list. */
export const customerWatch: ReactionDefinition = {
  name: 'customer-watch',
  sources: [user],
  from: 'beginning',
  does: 'cancels the open orders of a user who was deactivated',
  create: createCustomerWatch,
};

/** Cancels the open orders of a user who was deactivated. Later orders fail their validation (protocol 12). */
export function createCustomerWatch(deps: CustomerWatchDeps): Reaction<UserEvent> {
  const { runtime, directory, openOrders } = deps;

  async function cancel(
    orderId: string,
    userId: string,
    position: Position,
    { handler, cause }: Pick<ReactionContext, 'handler'> & { readonly cause: Cause },
  ) {
    const { version } = await handler.load(order, orderId);
    // Handled late, the user may have come back and ordered again: as of the order's last event decides.
    const status = await directory.customer(userId, latest(position, positionOfVersion(version)));
    if (status !== 'deactivated' && status !== 'forgotten') return;
    // Who cancelled says why: a reason would be sealed, with a key that nobody here may make.
    const command = { type: 'cancel', reason: '', by: 'customer-deactivated', at: runtime.now() } as const;
    // A refusal says that the order has ended or was shipped by now.
    await cause.attempt(order, orderId, command, 'cancel');
  }

  return {
    name: customerWatch.name,
    sources: customerWatch.sources,
    from: customerWatch.from,
    handle: async ({ events, position, stream }, { handler, causedBy }) => {
      for (const consumed of events) {
        if (consumed.event.$typeName !== 'jetledger.user.v1.UserDeactivated') continue;
        for await (const orderId of openOrders.ofUser(stream.id, position)) {
          await cancel(orderId, stream.id, position, { handler, cause: causedBy(consumed) });
        }
      }
    },
  };
}
