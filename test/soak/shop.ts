import { type Client, create } from './client.ts';
import type { Catalogue } from './mix.ts';

const PLENTY = 10_000_000;
const FEW = 25;

/** Registers customers and lists products with stock, for a run of so many orders. */
export async function openShop(client: Client, run: string, orders: number): Promise<Catalogue> {
  const customers = Math.min(200, Math.max(10, Math.ceil(orders / 50)));
  const products = Math.min(60, Math.max(6, Math.ceil(orders / 50)));
  const register = (kind: string, n: number): Promise<string> => {
    const email = `${kind}-${n}.${run}@example.com`;
    return create(client, '/v1/users', { email, name: `${kind} ${n}` }, `${run}-${kind}-${n}`);
  };
  const active = await each(customers, (n) => register('customer', n));
  const deactivated = await each(5, (n) => register('former', n));
  await Promise.all(deactivated.map((id) => deactivate(client, id, run)));
  const plenty = await each(products, (n) => list(client, `${run}-P${n}`, 99 + 7 * n, PLENTY));
  const scarce = await each(4, (n) => list(client, `${run}-S${n}`, 1_999 + n, FEW));
  return { active, deactivated, plenty, scarce };
}

/** Deactivates a customer. */
export async function deactivate(client: Client, userId: string, run: string): Promise<void> {
  await create(client, `/v1/users/${userId}/deactivate`, {}, `${run}-deactivate-${userId}`);
}

async function list(client: Client, name: string, amountMinor: number, stock: number): Promise<string> {
  const sku = name.toUpperCase();
  const product = { sku, name, price: { amountMinor, currency: 'EUR' } };
  await create(client, '/v1/products', product, `${name}-list`);
  const receipt = { receiptId: `${name}-delivery`, quantity: stock };
  await create(client, `/v1/products/${sku}/stock`, receipt, `${name}-stock`);
  return sku;
}

async function each(count: number, make: (n: number) => Promise<string>): Promise<string[]> {
  const made: string[] = [];
  for (let n = 1; n <= count; n++) made.push(await make(n));
  return made;
}
