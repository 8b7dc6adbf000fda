import { expect, test } from 'vitest';
import type { OrderEvent } from '../../../../src/domain/order.ts';
import type { CommandHandler } from '../../../../src/eventstore/command.ts';
import { runProcess } from '../../../../src/processes/engine/process.ts';
import type { Reaction } from '../../../../src/processes/engine/reaction.ts';
import { effectContextOf, type OrderProcessDeps } from '../../../../src/processes/order/effect-context.ts';
import { createOrderProcess, execute } from '../../../../src/processes/order/order-process.ts';
import { orderFlow } from '../../../../src/processes/order/react.ts';
import { createProcessWorld, NOW, settle } from './process-world.ts';

/** The order process of the release that told the order of its validation in a commit of its own. */
function createFormerProcess(deps: OrderProcessDeps): Reaction<OrderEvent> {
  return runProcess(orderFlow, {
    timers: deps.timers,
    execute: (effect, step) => {
      const context = effectContextOf(deps, step);
      if (effect.type !== 'validate-customer') return execute(effect, context);
      return context.report(effect.type, { type: 'recordCustomerValidated', directoryPosition: 1 });
    },
  });
}

/** How many commands that process sends: two on products, four on the order. */
const COMMANDS = [1, 2, 3, 4, 5, 6];

/** An order that the former process left when it was killed behind so many of its commands. */
async function leftBehind(commands: number) {
  const world = createProcessWorld();
  for (const sku of ['TEA', 'CUP']) await world.stock(sku, 5);
  const before = world.store.head();
  await world.place('TEA', 'CUP');
  const captured = { outcome: 'captured', paymentId: 'p1', amountMinor: 1_800n, currency: 'EUR' } as const;
  const cancelled = { outcome: 'cancelled', paymentId: 'p1' } as const;
  let isCaptured = false;
  const payments: OrderProcessDeps['payments'] = {
    ...world.deps.payments,
    capture: async () => {
      isCaptured = true;
      return captured;
    },
    cancel: async () => (isCaptured ? { outcome: 'captured' } : cancelled),
    refund: async () => captured,
  };
  const deps = { ...world.deps, payments };
  let left = commands;
  const dying: CommandHandler = {
    ...world.deps.handler,
    execute: async (...command) => {
      const result = await world.deps.handler.execute(...command);
      if (--left === 0) throw new Error('killed');
      return result;
    },
  };
  const killed = settle(world, createFormerProcess(deps), 0, dying);
  await expect(killed).rejects.toThrow('killed');
  return { world, before, process: createOrderProcess(deps) };
}

test.each(COMMANDS)(
  'an order that the former release left behind its command %i is confirmed',
  async (commands) => {
    const { world, before, process } = await leftBehind(commands);
    await settle(world, process);
    expect(world.eventsAfter(before)).toEqual([
      'o1 OrderPlaced',
      'o1 CustomerValidated',
      'CUP StockReserved',
      'TEA StockReserved',
      'o1 OrderStockReserved',
      'o1 PaymentAuthorised',
      'o1 PaymentCaptured',
      'o1 OrderConfirmed',
    ]);
  },
);

test.each(COMMANDS)('one that is cancelled behind command %i gets everything back', async (commands) => {
  const { world, process } = await leftBehind(commands);
  await world.order({ type: 'cancel', reason: '', by: 'customer', at: NOW });
  await settle(world, process);
  const touchedMoney = commands >= 4;
  expect(await world.orderState()).toMatchObject({
    status: 'cancelled',
    stockReleased: true,
    paymentReturned: touchedMoney,
  });
  for (const sku of ['TEA', 'CUP'])
    expect(await world.productState(sku)).toMatchObject({ reserved: 0n, onHand: 5n });
});
