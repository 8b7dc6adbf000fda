import { must } from '../e2e/client.ts';
import type { BenchRequest } from './http-load.ts';

const PRODUCTS = 50;
const USERS = 50;
const ORDERS = 1_000;
const LINES = 3;
const STOCK = 1_000_000;

/** Makes users, and products with stock for as long as it takes. @returns different orders of three lines each */
export async function openBenchShop(url: string): Promise<readonly BenchRequest[]> {
  const price = { amountMinor: 450, currency: 'EUR' };
  await Promise.all(
    Array.from({ length: PRODUCTS }, async (_, n) => {
      await must(201, url, 'POST', '/v1/products', { sku: skuOf(n), name: `Tea number ${n}`, price });
      const receipt = { receiptId: `receipt-${n}`, quantity: STOCK };
      await must(200, url, 'POST', `/v1/products/${skuOf(n)}/stock`, receipt);
    }),
  );
  const users = await Promise.all(
    Array.from({ length: USERS }, async (_, n) => {
      const user = await must(201, url, 'POST', '/v1/users', { email: `ada${n}@example.com`, name: 'Ada' });
      return String(user.field('id'));
    }),
  );
  return Array.from({ length: ORDERS }, (_, n) => ({ path: '/v1/orders', body: orderOf(n, users) }));
}

function orderOf(n: number, users: readonly string[]) {
  const lines = Array.from({ length: LINES }, (_, line) => ({
    sku: skuOf((n * 7 + line * 11) % PRODUCTS),
    quantity: 1 + ((n + line) % 3),
  }));
  return { userId: users[n % users.length], lines, payment: { token: 'tok_success' } };
}

function skuOf(n: number): string {
  return `TEA-${String(n).padStart(3, '0')}`;
}
