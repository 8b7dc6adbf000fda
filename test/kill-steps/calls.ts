import type { CommandHandler } from '../../src/eventstore/command.ts';
import type { ReactionDeps } from '../../src/processes/order/reactions.ts';

/** A place where a worker may die: right before or right after a call that it makes for an order. */
export interface CrashPoint {
  readonly orderId: string;
  /** For example `payments capture` or `product reserveStock TEA`. */
  readonly call: string;
  readonly moment: 'before' | 'after';
}

/** Hears of every call before it is made and after it was answered, or failed. */
export type Passes = (point: CrashPoint) => Promise<void> | void;

/** Each order of these runs has a customer of its own. */
export const customerOf = (orderId: string): string => `u-${orderId}`;
const orderOf = (userId: string): string => userId.slice('u-'.length);

type WatchedDeps = Omit<ReactionDeps, 'openOrders'> & { readonly handler: CommandHandler };

/** Everything that the consumers reach the world through, with every call told. */
export function watchedCalls(deps: WatchedDeps, passes: Passes): WatchedDeps {
  const around = async <T>(orderId: string, call: string, work: () => Promise<T>): Promise<T> => {
    await passes({ orderId, call, moment: 'before' });
    try {
      return await work();
    } finally {
      await passes({ orderId, call, moment: 'after' });
    }
  };
  const { directory, payments, timers, notifications } = deps;
  return {
    ...deps,
    handler: watchedHandler(deps.handler, around),
    directory: {
      customer: (userId, position) =>
        around(orderOf(userId), 'directory customer', () => directory.customer(userId, position)),
    },
    payments: {
      createIntent: (intent) =>
        around(intent.key, 'payments createIntent', () => payments.createIntent(intent)),
      authorise: (key) => around(key, 'payments authorise', () => payments.authorise(key)),
      capture: (key) => around(key, 'payments capture', () => payments.capture(key)),
      cancel: (key) => around(key, 'payments cancel', () => payments.cancel(key)),
      refund: (key) => around(key, 'payments refund', () => payments.refund(key)),
    },
    timers: {
      arm: (timer) => around(timer.id, 'timers arm', () => timers.arm(timer)),
      disarm: (kind, id) => around(id, 'timers disarm', () => timers.disarm(kind, id)),
    },
    notifications: {
      publish: (notification, of) => {
        const call = `notifications ${notification.kind}`;
        return around(notification.orderId ?? orderOf(notification.userId), call, () =>
          notifications.publish(notification, of),
        );
      },
    },
  };
}

function watchedHandler(
  handler: CommandHandler,
  around: <T>(orderId: string, call: string, work: () => Promise<T>) => Promise<T>,
): CommandHandler {
  return {
    ...handler,
    execute: (decider, id, command, meta, options) => {
      const [type, orderId] = [textOf(command, 'type'), textOf(command, 'orderId')];
      const { category } = decider;
      const [of, call] =
        category === 'order' ? [id, `order ${type}`] : [orderId, `${category} ${type} ${id}`];
      return around(of, call, () => handler.execute(decider, id, command, meta, options));
    },
  };
}

function textOf(command: unknown, field: string): string {
  const fields: Readonly<Record<string, unknown>> = typeof command === 'object' ? { ...command } : {};
  return String(fields[field] ?? '');
}
