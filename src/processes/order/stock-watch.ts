import { type OrderState, order } from '../../domain/order.ts';
import { type ProductEvent, product } from '../../domain/product.ts';
import { isAfter, type Position, positionOfVersion, type Runtime } from '../../eventstore/index.ts';
import { type Reaction, RetryLater } from '../engine/index.ts';
import type { ReactionDefinition } from './reactions.ts';

/** The entry of the service's list. */
export const stockWatch: ReactionDefinition = {
  name: 'stock-watch',
  sources: [product],
  from: 'beginning',
  does: 'releases what was reserved for an order that had ended by then',
  create: createStockWatch,
};

/** How old a reservation is when it is looked at, in milliseconds; by then the order has nearly always gone on. */
const LOOK_AFTER_MS = 250;

/**
 * Looks at every reservation once more: one that a late worker made for an order that had ended by then is released
 * (protocol 10). It makes up for barred order ids that a product has forgotten. Where what is known of the order lies
 * behind the reservation and is no end, nobody is asked: the end is still to come, and releases it.
 */
export function createStockWatch({ runtime }: { readonly runtime: Runtime }): Reaction<ProductEvent> {
  return {
    name: stockWatch.name,
    sources: stockWatch.sources,
    from: stockWatch.from,
    handle: async ({ events, position, stream }, { handler, causedBy }) => {
      for (const consumed of events) {
        if (consumed.event.$typeName !== 'jetledger.product.v1.StockReserved') continue;
        const { orderId } = consumed.event;
        const early = consumed.time + LOOK_AFTER_MS - runtime.now();
        if (early > 0) await runtime.sleep(Math.min(early, LOOK_AFTER_MS));
        const { status } = (await handler.load(order, orderId, { behind: position })).state;
        if (status === 'placed' || status === 'confirmed') continue;
        const { state, version } = await handler.load(order, orderId);
        if (!isLeftOver(state, positionOfVersion(version), position)) continue;
        const command = { type: 'releaseStock' as const, orderId, at: runtime.now() };
        await causedBy(consumed).execute(product, stream.id, command, `release-left-over/${orderId}`);
      }
    },
  };
}

/**
 * What was shipped had been reserved before the order said so, and leaves the warehouse because of that event:
 * releasing it would keep it on hand. Only a reservation made after the order's last event is nobody's, and of a refunded
 * order any once its stock is settled (protocol 32).
 * @throws RetryLater while that cannot be told
 */
function isLeftOver(order: OrderState, last: Position, reservedAt: Position): boolean {
  const { status } = order;
  if (status === 'rejected' || status === 'cancelled') return true;
  if (order.status === 'refunded') {
    if (order.stockReleased || isAfter(reservedAt, last)) return true;
    // Its own reservation may still be there, and is to leave in the way that the refund said.
    throw new RetryLater('The stock of a refunded order is not settled yet.');
  }
  return (status === 'shipped' || status === 'delivered') && isAfter(reservedAt, last);
}
