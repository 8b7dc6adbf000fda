import type { Message } from '@bufbuild/protobuf';
import { order } from '../../src/domain/order.ts';
import { product } from '../../src/domain/product.ts';
import { user } from '../../src/domain/user.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Decider, Rejection } from '../../src/eventstore/index.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { until } from '../../src/testing/until.ts';
import { customerOf } from './calls.ts';
import { IN_STOCK, type Path, SOLD_OUT } from './paths.ts';

/** Customers and the shop, who see nothing of the workers. */
export interface Shop {
  /** Lists the products. */
  open(): Promise<void>;
  /** Places an order and asks for what its path wants later. Resolves when that is done. */
  order(path: Path, orderId: string): Promise<void>;
}

const STOCK = 100_000;
const PRICE = { unitPriceMinor: 333n, currency: 'EUR' };

/**
 * @param isTold whether the customer was told that an order is confirmed
 * @param confirmedWithinMs how long an order that is to be cancelled or shipped may take until then
 */
export function createShop(
  log: Log,
  isTold: (orderId: string) => Promise<boolean>,
  confirmedWithinMs: number,
): Shop {
  const handler = createHandler({ log, runtime: systemRuntime });
  let asked = 0;
  const ask = async <S, C, E extends Message, R extends Rejection>(
    decider: Decider<S, C, E, R>,
    id: string,
    command: C,
  ): Promise<void> => {
    const meta = { commandId: `shop-${++asked}`, actor: 'shop' };
    const result = await handler.execute(decider, id, command, meta);
    if (result.outcome !== 'accepted') throw new Error(`${decider.category}/${id}: ${result.outcome}`);
  };
  const at = Date.now();

  const place = async ({ token, skus, dueInMs }: Path, orderId: string): Promise<void> => {
    const lines = skus.map((sku) => ({ sku, name: sku, quantity: 2, ...PRICE }));
    const now = Date.now();
    const payment = { paymentToken: token, paymentDueAt: now + dueInMs };
    const userId = customerOf(orderId);
    await ask(order, orderId, { type: 'place', orderId, userId, lines, ...payment, at: now });
  };
  const askLater = async (later: NonNullable<Path['later']>, orderId: string): Promise<void> => {
    // Not only confirmed: who cancels before hears of no confirmation.
    await until(`${orderId} is confirmed`, () => isTold(orderId), confirmedWithinMs);
    if (later === 'cancel') await ask(order, orderId, { type: 'cancel', reason: '', by: 'customer', at });
    if (later === 'deactivate') await ask(user, customerOf(orderId), { type: 'deactivate', reason: '', at });
    if (later === 'ship' || later === 'send-back')
      await ask(order, orderId, { type: 'ship', tracking: '', at });
    if (later === 'write-off' || later === 'send-back')
      await ask(order, orderId, { type: 'refund', reason: 'Lost', restock: later === 'send-back', at });
  };

  return {
    open: async () => {
      for (const sku of [...IN_STOCK, SOLD_OUT])
        await ask(product, sku, { type: 'list', sku, name: sku, priceMinor: 333n, currency: 'EUR', at });
      for (const sku of IN_STOCK)
        await ask(product, sku, { type: 'receiveStock', receiptId: 'r', quantity: STOCK, at });
    },
    order: async (path, orderId) => {
      const userId = customerOf(orderId);
      const email = `${userId}@example.com`;
      if (path.customer === 'registered')
        await ask(user, userId, { type: 'register', userId, email, name: userId, emailAttempt: 'a', at });
      await place(path, orderId);
      if (path.later !== undefined) await askLater(path.later, orderId);
    },
  };
}
