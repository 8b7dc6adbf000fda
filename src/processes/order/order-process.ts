import type { OrderEvent } from '../../domain/order.ts';
import { numberOf } from '../../eventstore/index.ts';
import { type Reaction, runProcess } from '../engine/index.ts';
import {
  type AroundStep,
  type EffectContext,
  effectContextOf,
  type OrderProcessDeps,
  reportingBy,
} from './effect-context.ts';
import { type OrderEffect, orderFlow } from './react.ts';
import type { ReactionDefinition } from './reactions.ts';
import {
  authorisePayment,
  capturePayment,
  notify,
  refundPayment,
  releaseStock,
  reserveStock,
  returnPayment,
  returnStock,
  shipStock,
  writeOffStock,
} from './steps.ts';

/**
 * Does what an effect says. Safe to repeat at any time and by any worker, also by one that comes late.
 * @throws what the ports throw, CommandConflict, GiveUp
 */
export async function execute(effect: OrderEffect, context: EffectContext): Promise<void> {
  if (effect.type !== 'validate-customer')
    return aroundStep(effect, context, (own) => executeStep(effect, own));
  const fit: { report?: () => Promise<void> } = {};
  await aroundStep(effect, context, async (own) => {
    const report = await validateCustomer(effect.userId, own);
    if (report !== undefined) fit.report = report;
  });
  if (fit.report !== undefined) await execute(effect.next, reportingFirst(fit.report, context));
}

const aroundStep: AroundStep = (effect, context, run) =>
  context.deps.aroundStep === undefined ? run(context) : context.deps.aroundStep(effect, context, run);

/** With the next report an earlier one is made, before it and in the same commit. */
function reportingFirst(earlier: () => Promise<void>, context: EffectContext): EffectContext {
  return reportingBy(context, async (...next) => {
    await Promise.all([earlier(), context.report(...next)]);
  });
}

/** Does an effect that is one step. @throws as `execute` */
export async function executeStep(
  effect: Exclude<OrderEffect, { type: 'validate-customer' }>,
  context: EffectContext,
): Promise<void> {
  switch (effect.type) {
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
    case 'refund-payment':
      return refundPayment(context);
    case 'ship-stock':
      return shipStock(effect.items, context);
    case 'return-stock':
      return returnStock(effect.items, context);
    case 'write-off-stock':
      return writeOffStock(effect.items, context);
    case 'notify':
      return notify(effect.kind, context);
  }
}

const UNFIT = {
  unknown: ['customer/unknown', 'There is no such customer.'],
  deactivated: ['customer/deactivated', "The customer's account is deactivated."],
  forgotten: ['customer/unknown', 'There is no such customer.'],
} as const;

/** Rejects the order of a customer who is not fit. @returns else the report, now or later, that he was fit now */
async function validateCustomer(
  userId: string,
  { delivery, deps, report, reject }: EffectContext,
): Promise<(() => Promise<void>) | undefined> {
  const { position } = delivery;
  const purpose = 'validate-customer';
  const status = await deps.directory.customer(userId, position);
  if (status !== 'active') {
    const [code, reason] = UNFIT[status];
    await reject(purpose, 'customer_validation', code, reason);
    return undefined;
  }
  const at = deps.runtime.now();
  const command = { type: 'recordCustomerValidated', directoryPosition: numberOf(position) } as const;
  return () => report(purpose, command, { at, together: true });
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
  const { timers } = deps;
  return runProcess(orderFlow, {
    timers,
    execute: (effect, step) => execute(effect, effectContextOf(deps, step)),
  });
}
