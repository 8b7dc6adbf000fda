import { order } from '../../domain/order.ts';
import type { CommandHandler, Runtime } from '../../eventstore/index.ts';
import type { Timer, Timers } from '../engine/index.ts';

import { causedByTimer, executeCommand } from './commands.ts';
import type { OpenOrders } from './ports.ts';
import type { TimerDefinition } from './reactions.ts';

/** The kind of the timer that ends an order whose payment did not come in time. */
export const PAYMENT_DEADLINE = 'payment-deadline';

/** The entry of the service's list. */
export const paymentDeadline: TimerDefinition = { kind: PAYMENT_DEADLINE, create: createDeadline };

/** Handles a deadline that has fired: expires the order unless it is paid or final (protocol 13). */
export function createDeadline(deps: { readonly handler: CommandHandler; readonly runtime: Runtime }) {
  return async function expire({ id, at }: Timer): Promise<void> {
    // That it fired is proof that the time has come; this process's own clock may be behind.
    const command = { type: 'expire' as const, at: Math.max(at, deps.runtime.now()) };
    await executeCommand(deps.handler, order, id, command, causedByTimer(`${PAYMENT_DEADLINE}/${id}/${at}`));
  };
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
