import type { OrderState } from '../domain/order-state.ts';
import type { ProductState } from '../domain/product-state.ts';
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
  const { name, priceMinor, currency, status } = state;
  const [onHand, reserved] = [Number(state.onHand), Number(state.reserved)];
  const stock = { onHand, reserved, available: onHand - reserved };
  return { sku, name, price: { amountMinor: Number(priceMinor), currency }, status, ...stock };
}

/** An order as a command leaves it. */
export function orderBody(id: string, state: OrderState): OrderBody {
  if (state.status === 'absent') throw absent('order');
  const { userId, status, items, totalMinor, currency } = state;
  const lines = items.map(({ sku, quantity }) => ({ sku, quantity }));
  const total = { amountMinor: Number(totalMinor), currency };
  const step = 'step' in state && { step: state.step };
  const reason = state.status === 'rejected' && { reason: { code: state.code, text: state.reason } };
  return { id, userId, status, ...step, ...reason, lines, total };
}

function absent(what: string): Error {
  return new Error(`A command was accepted that left no ${what}`);
}
