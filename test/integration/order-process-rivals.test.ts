import { expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { must } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { createDataDir, startService } from '../support/service-process.ts';

const TIMEOUT_MS = 120_000;
const WAIT_MS = 60_000;
const LACKED = 'rejected inventory/insufficient-stock';

interface Shop {
  /** Lists products with so many pieces each. */
  stock(quantity: number, ...skus: string[]): Promise<void>;
  /** Places orders of one piece of each product, all at once; how each ended, sorted. */
  rivals(...orders: readonly (readonly string[])[]): Promise<string[]>;
  reservedOf(sku: string): Promise<unknown>;
}

async function openShop(url: string): Promise<Shop> {
  const user = await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
  const userId = String(user.field('id'));
  const price = { amountMinor: 450, currency: 'EUR' };
  const read = (path: string) => must(200, url, 'GET', `${path}?consistency=strong`);

  const endOf = async (id: string): Promise<string> => {
    let end = 'placed';
    const ended = async () => {
      const answer = await read(`/v1/orders/${id}`);
      const status = String(answer.field('status'));
      end = status === 'rejected' ? `${status} ${answer.field('reason', 'code')}` : status;
      return end !== 'placed';
    };
    await until(`${id} has ended`, ended, WAIT_MS);
    return end;
  };
  return {
    stock: async (quantity, ...skus) => {
      for (const sku of skus) {
        await must(201, url, 'POST', '/v1/products', { sku, name: 'Tea', price });
        if (quantity === 0) continue;
        await must(200, url, 'POST', `/v1/products/${sku}/stock`, { receiptId: 'r1', quantity });
      }
    },
    rivals: async (...orders) => {
      const place = async (skus: readonly string[]) => {
        const lines = skus.map((sku) => ({ sku, quantity: 1 }));
        const placed = await must(201, url, 'POST', '/v1/orders', { userId, lines, payment: PAYMENT });
        return endOf(String(placed.field('id')));
      };
      return (await Promise.all(orders.map(place))).sort();
    },
    reservedOf: async (sku) => (await read(`/v1/products/${sku}`)).field('reserved'),
  };
}

it(
  'of orders for the last pieces as many are confirmed as there are pieces, whatever the order of their lines',
  async () => {
    await using data = await createDataDir();
    await using service = await startService(data.variables);
    const shop = await openShop(service.url);
    for (let round = 1; round <= 4; round++) {
      const [a, b] = [`A-${round}`, `B-${round}`] as const;
      await shop.stock(1, a, b);
      expect(await shop.rivals([a, b], [b, a])).toEqual(['confirmed', LACKED]);
    }

    await shop.stock(5, 'A', 'B');
    const ten = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? ['A', 'B'] : ['B', 'A']));
    const ends = await shop.rivals(...ten);
    expect(ends).toEqual([...Array(5).fill('confirmed'), ...Array(5).fill(LACKED)]);
    expect([await shop.reservedOf('A'), await shop.reservedOf('B')]).toEqual([5, 5]);

    // Who lacks what nobody has takes nothing from the one who can be served.
    await shop.stock(1, 'C');
    await shop.stock(0, 'D');
    expect(await shop.rivals(['C', 'D'], ['C'], ['C', 'D'])).toEqual(['confirmed', LACKED, LACKED]);
  },
  TIMEOUT_MS,
);
