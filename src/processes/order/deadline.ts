import { order } from '../../domain/order.ts';
import type { CommandHandler, Runtime } from '../../eventstore/index.ts';
import { runProcessTimer, type Timer, type Timers } from '../engine/index.ts';
import type { OpenOrders } from './ports.ts';
import { orderFlow, PAYMENT_DEADLINE } from './react.ts';
import type { TimerDefinition } from './reactions.ts';

/** The entry of the service's list. */
export const paymentDeadline: TimerDefinition = {
  kind: PAYMENT_DEADLINE,
  category: order.category,
  create: createDeadline,
};

/** Handles a deadline that has fired: expires the order unless it is paid or final (protocol 13). */
export function createDeadline(deps: {
  readonly handler: CommandHandler;
  readonly runtime: Runtime;
  readonly timers: Pick<Timers, 'arm' | 'disarm'>;
}): (timer: Timer) => Promise<void> {
  return runProcessTimer(orderFlow, PAYMENT_DEADLINE, deps);
}

/**
 * Arms the deadline of every order that still waits for its payment: after a restore there are no timers. For the
 * start of the service and every hour; arming one that is armed changes nothing.
 * @returns how many were armed
 */
export async function sweepDeadlines(deps: {
  readonly handler: CommandHandler;
  readonly timers: Pick<Timers, 'arm'>;
  readonly openOrders: Pick<OpenOrders, 'awaitingPayment'>;
}): Promise<number> {
  let armed = 0;
  for await (const orderId of deps.openOrders.awaitingPayment()) {
    const { state } = await deps.handler.load(order, orderId);
    if (state.status !== 'placed') continue;
    await deps.timers.arm({ kind: PAYMENT_DEADLINE, id: orderId, at: state.paymentDueAt });
    armed++;
  }
  return armed;
}
