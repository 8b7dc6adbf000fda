import { type OrderEvent, order } from '../../domain/order.ts';
import { numberOf } from '../../eventstore/index.ts';
import type { Reaction } from '../engine/index.ts';

import { createOrderPolicy, isTransient, type RetrySettings } from './commands.ts';
import { PAYMENT_DEADLINE } from './deadline.ts';
import { type EffectContext, effectContextOf, type OrderProcessDeps } from './effect-context.ts';
import { type OrderEffect, react } from './react.ts';
import type { ReactionDefinition } from './reactions.ts';
import {
  authorisePayment,
  capturePayment,
  notify,
  releaseStock,
  reserveStock,
  returnPayment,
  shipStock,
} from './steps.ts';

/**
 * Does what an effect says. Safe to repeat at any time and by any worker, also by one that comes late.
 * @throws what the ports throw, CommandConflict, ProcessFault
 */
export async function execute(effect: OrderEffect, context: EffectContext): Promise<void> {
  const { orderId, deps } = context;
  switch (effect.type) {
    case 'validate-customer':
      return validateCustomer(effect.userId, context);
    case 'reserve-stock':
      return reserveStock(effect.items, context);
    case 'authorise-payment':
      return authorisePayment(effect, context);
    case 'capture-payment':
      return capturePayment(context);
    case 'release-stock':
      return releaseStock(effect.items, context);
    case 'return-payment':
      return returnPayment(context);
    case 'ship-stock':
      return shipStock(effect.items, context);
    case 'arm-deadline':
      return deps.timers.arm({ kind: PAYMENT_DEADLINE, id: orderId, at: effect.at });
    case 'disarm-deadline':
      return deps.timers.disarm(PAYMENT_DEADLINE, orderId);
    case 'notify':
      return notify(effect.kind, context);
  }
}

const UNFIT = {
  unknown: ['customer/unknown', 'There is no such customer.'],
  deactivated: ['customer/deactivated', "The customer's account is deactivated."],
} as const;

async function validateCustomer(userId: string, context: EffectContext): Promise<void> {
  const { position, deps, report, reject } = context;
  const purpose = 'validate-customer';
  const status = await deps.directory.customer(userId, position);
  if (status === 'active') {
    return report(purpose, { type: 'recordCustomerValidated', directoryPosition: numberOf(position) });
  }
  const [code, reason] = UNFIT[status];
  return reject(purpose, 'customer_validation', code, reason);
}

/** The entry of the service's list. */
export const orderProcess: ReactionDefinition = {
  name: 'order-process',
  sources: [order],
  from: 'beginning',
  does: 'drives an order from placed to confirmed, or to its end with everything given back',
  create: createOrderProcess,
};

/**
 * Drives orders from placed to confirmed, or to their end with everything given back. Its state is the order's own
 * stream: each event is looked at together with what the order is by now.
 */
export function createOrderProcess(
  deps: OrderProcessDeps,
  retries: Partial<RetrySettings> = {},
): Reaction<OrderEvent> {
  const { aroundStep } = deps;
  const executed = (effect: OrderEffect, context: EffectContext): Promise<void> =>
    aroundStep === undefined
      ? execute(effect, context)
      : aroundStep(effect, context, (own) => execute(effect, own));
  return {
    name: orderProcess.name,
    sources: orderProcess.sources,
    from: orderProcess.from,
    policy: createOrderPolicy(deps.runtime, retries),
    handle: async (delivery) => {
      for (const consumed of delivery.events) {
        const { state } = await deps.handler.load(order, delivery.stream.id);
        const context = effectContextOf(deps, delivery, consumed);
        await all(react(consumed.event, state).map((effect) => () => executed(effect, context)));
      }
    },
  };
}

/**
 * Executes every one, also after a failure: that stock cannot be released is no reason to keep the customer's money.
 * @throws the first failure, rather one that a retry may mend than one that makes a dead letter
 */
async function all(runs: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const run of runs) {
    try {
      await run();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.find(isTransient) ?? failures[0];
}
