import { type Answer, must, since } from './client.ts';

/** For tests that compare what was stored: orders stay as they were placed, the order process has tests of its own. */
export const STILL_ORDERS = { JETLEDGER_SERVICE__ROLES: 'api,projections' };

/** A way to pay that the simulated provider accepts. */
export const PAYMENT = { token: 'tok_success' };

/** A user, a product with stock, and an order of it. */
export interface Shop {
  readonly userId: string;
  readonly email: string;
  readonly sku: string;
  readonly orderId: string;
  /** The command that came last. */
  readonly last: Answer;
}

/** Makes a small shop over HTTP; `name` tells it from others on the same data. */
export async function openShop(url: string, name: string): Promise<Shop> {
  const email = `${name}@example.com`;
  const user = await must(201, url, 'POST', '/v1/users', { email, name: 'Ada' });
  const sku = `TEA-${name.toUpperCase()}`;
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku, name: 'Tea', price });
  const receipt = { receiptId: `receipt-${name}`, quantity: 10 };
  await must(200, url, 'POST', `/v1/products/${sku}/stock`, receipt);
  const userId = String(user.field('id'));
  const lines = [{ sku, quantity: 2 }];
  const last = await must(201, url, 'POST', '/v1/orders', { userId, lines, payment: PAYMENT });
  return { userId, email, sku, orderId: String(last.field('id')), last };
}

/** What the read models show of it, as soon as they have seen all of it. */
export async function showShop(url: string, shop: Shop): Promise<unknown> {
  const fresh = since(shop.last);
  const paths = [
    `/v1/users/${shop.userId}`,
    `/v1/products/${shop.sku}`,
    `/v1/orders/${shop.orderId}`,
    `/v1/users/${shop.userId}/orders`,
  ];
  return Promise.all(paths.map(async (path) => (await must(200, url, 'GET', path, undefined, fresh)).body));
}
