import { type UserEvent, user } from '../../domain/user.ts';
import type { Reaction } from '../engine/index.ts';
import type { Notification, NotificationOutbox } from '../notification/port.ts';
import type { ReactionDefinition } from './reactions.ts';

/** The entry of the service's list. A service that gets it later greets nobody who registered before. */
export const accountNotices: ReactionDefinition = {
  name: 'account-notices',
  sources: [user],
  from: 'now',
  does: 'tells people that they are registered and that their address was changed; begins with its first start',
  create: createAccountNotices,
};

/** Puts a notification on its stream for each registration and each changed address; its id derives from the event. */
export function createAccountNotices(deps: {
  readonly notifications: NotificationOutbox;
}): Reaction<UserEvent> {
  return {
    name: accountNotices.name,
    sources: accountNotices.sources,
    from: accountNotices.from,
    handle: async (delivery) => {
      const { id: userId } = delivery.stream;
      for (const { event, id, time, traceparent } of delivery.events) {
        const notice = noticeOf(event);
        if (notice === undefined) continue;
        const told = { id: `${id}/${notice.kind}`, ...notice, userId, time, traceparent };
        await deps.notifications.publish(told, delivery);
      }
    },
  };
}

function noticeOf(event: UserEvent): Pick<Notification, 'kind' | 'text'> | undefined {
  switch (event.$typeName) {
    case 'jetledger.user.v1.UserCreated':
      return { kind: 'welcome', text: 'Welcome, your account is ready.' };
    case 'jetledger.user.v1.EmailChanged':
      return { kind: 'email-changed', text: 'The e-mail address of your account was changed.' };
    default:
      return undefined;
  }
}
