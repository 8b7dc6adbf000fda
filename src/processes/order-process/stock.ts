import { product } from '../../domain/product.ts';
import { ProcessFault, perform } from './commands.ts';
import type { Item } from './effects.ts';
import type { Occasion } from './occasion.ts';

/**
 * Reserves line after line; the first refusal rejects the order. What was reserved before it is released because of
 * that rejection, by whoever handles it, and not here: this worker may die, or be late, between any two lines.
 */
export async function reserveStock(items: readonly Item[], occasion: Occasion): Promise<void> {
  const { orderId, deps, meta, report, reject } = occasion;
  for (const { sku, quantity } of items) {
    const command = { type: 'reserveStock' as const, orderId, quantity, at: deps.runtime.now() };
    const reply = await perform(deps.handler, product, sku, command, meta('reserve-stock'));
    if (reply.outcome !== 'rejected') continue;
    const [code, reason] =
      reply.rejection.code === 'product/insufficient-stock'
        ? ['inventory/insufficient-stock', `There is not enough stock of ${sku}.`]
        : ['inventory/unavailable', `${sku} cannot be delivered any more.`];
    return reject('reserve-stock', 'inventory', code, reason);
  }
  return report('reserve-stock', { type: 'recordStockReserved' });
}

/** Releases what is reserved on every line and bars the order from each, then records that on the order. */
export async function releaseStock(items: readonly Item[], occasion: Occasion): Promise<void> {
  await forEachProduct(items, occasion, 'releaseStock', 'release-stock');
  return occasion.report('release-stock', { type: 'recordStockReleased' });
}

/** Takes what is reserved out of the warehouse. */
export function shipStock(items: readonly Item[], occasion: Occasion): Promise<void> {
  return forEachProduct(items, occasion, 'shipStock', 'ship-stock');
}

async function forEachProduct(
  items: readonly Item[],
  { orderId, deps, meta }: Occasion,
  type: 'releaseStock' | 'shipStock',
  purpose: string,
): Promise<void> {
  for (const { sku } of items) {
    const command = { type, orderId, at: deps.runtime.now() };
    const reply = await perform(deps.handler, product, sku, command, meta(purpose));
    if (reply.outcome === 'rejected') throw new ProcessFault(`${sku}: ${reply.rejection.message}`);
  }
}
