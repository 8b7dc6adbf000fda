import type { OrderEvent, OrderState } from '../domain/order.ts';
import type { ProductState } from '../domain/product.ts';
import type { UserState } from '../domain/user-state.ts';
import type { OrderBody } from './schemas/order.ts';
import type { ProductBody } from './schemas/product.ts';
import type { UserBody } from './schemas/user.ts';

/** A user as a command leaves it. An accepted command never leaves one that does not exist. */
export function userBody(id: string, state: UserState): UserBody {
  if (!('email' in state)) throw absent('user');
  const { email, name, status, pending } = state;
  return { id, email, name, status, ...(pending !== undefined && { pendingEmail: pending.email }) };
}

/** A product as a command leaves it; amounts are within JSON's exact integers by the domain's rules. */
export function productBody(sku: string, state: ProductState): ProductBody {
  if (state.status === 'absent') throw absent('product');
  const { name, priceMinor, currency, status, onHand } = state;
  return { sku, name, price: { amountMinor: Number(priceMinor), currency }, status, onHand: Number(onHand) };
}

/** An order as a command leaves it; with its total when one of the events placed it. */
export function orderBody(id: string, state: OrderState, events: readonly OrderEvent[]): OrderBody {
  if (state.status === 'absent') throw absent('order');
  const { userId, status, items } = state;
  const lines = items.map(({ sku, quantity }) => ({ sku, quantity }));
  const placed = events.find((event) => event.$typeName === 'jetledger.order.v1.OrderPlaced');
  const total = placed && { amountMinor: Number(placed.totalMinor), currency: placed.currency };
  return { id, userId, status, lines, ...(total && { total }) };
}

function absent(what: string): Error {
  return new Error(`A command was accepted that left no ${what}`);
}
