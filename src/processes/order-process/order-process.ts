import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import type { Consumer } from '../engine/consumer.ts';
import type { OrderEffect } from './effects.ts';
import { execute } from './execute.ts';
import { type Occasion, type OrderProcessDeps, occasionOf } from './occasion.ts';
import { createOrderPolicy, isTransient, type RetrySettings } from './policy.ts';
import { react } from './react.ts';

export const orderProcess = { name: 'order-process', sources: [order] } as const;

/**
 * Drives orders from placed to confirmed, or to their end with everything given back. Its state is the order's own
 * stream: each event is looked at together with what the order is by now.
 */
export function createOrderProcess(
  deps: OrderProcessDeps,
  retries: Partial<RetrySettings> = {},
): Consumer<OrderEvent> {
  const { aroundStep } = deps;
  const step = (effect: OrderEffect, occasion: Occasion): Promise<void> =>
    aroundStep === undefined
      ? execute(effect, occasion)
      : aroundStep(effect, occasion, (own) => execute(effect, own));
  return {
    ...orderProcess,
    policy: createOrderPolicy(deps.runtime, retries),
    handle: async (delivery) => {
      for (const consumed of delivery.events) {
        const { state } = await deps.handler.load(order, delivery.stream.id);
        const occasion = occasionOf(deps, delivery, consumed);
        await all(react(consumed.event, state).map((effect) => () => step(effect, occasion)));
      }
    },
  };
}

/**
 * Runs every one, also after a failure: that stock cannot be released is no reason to keep the customer's money.
 * @throws the first failure, rather one that a retry may mend than one that parks the event
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
