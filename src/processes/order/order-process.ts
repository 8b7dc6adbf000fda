import type { OrderEvent } from '../../domain/order.ts';
import { numberOf } from '../../eventstore/index.ts';
import { type Reaction, runProcess } from '../engine/index.ts';
import { type EffectContext, effectContextOf, type OrderProcessDeps } from './effect-context.ts';
import { type OrderEffect, orderFlow } from './react.ts';
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
 * @throws what the ports throw, CommandConflict, GiveUp
 */
export async function execute(effect: OrderEffect, context: EffectContext): Promise<void> {
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
    case 'notify':
      return notify(effect.kind, context);
  }
}

const UNFIT = {
  unknown: ['customer/unknown', 'There is no such customer.'],
  deactivated: ['customer/deactivated', "The customer's account is deactivated."],
} as const;

async function validateCustomer(userId: string, context: EffectContext): Promise<void> {
  const { delivery, deps, report, reject } = context;
  const { position } = delivery;
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
  name: orderFlow.name,
  sources: orderFlow.sources,
  from: orderFlow.from,
  does: 'drives an order from placed to confirmed, or to its end with everything given back',
  create: createOrderProcess,
};

/** Drives orders: `orderFlow` says what is done, this does it. */
export function createOrderProcess(deps: OrderProcessDeps): Reaction<OrderEvent> {
  const { aroundStep, timers } = deps;
  return runProcess(orderFlow, {
    timers,
    execute: (effect, step) => {
      const context = effectContextOf(deps, step);
      if (aroundStep === undefined) return execute(effect, context);
      return aroundStep(effect, context, (own) => execute(effect, own));
    },
  });
}
