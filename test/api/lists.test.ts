import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { orderIndex } from '../../src/projections/views/orders.ts';
import { productIndex } from '../../src/projections/views/products.ts';
import { userIndex } from '../../src/projections/views/users.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';

let service: MemoryService;
let position = '';
const users: string[] = [];
const orders: string[] = [];

async function post(url: string, payload: object): Promise<Record<string, unknown>> {
  const response = await service.app.inject({ method: 'POST', url, payload });
  expect(response.statusCode, response.body).toBeLessThan(300);
  position = String(response.headers.position);
  return response.json();
}

beforeAll(async () => {
  service = await memoryService();
  for (const name of ['Ada Lovelace', 'Adam', 'Grace']) {
    const email = `${name.split(' ')[0]?.toLowerCase()}@example.com`;
    users.push(String((await post('/v1/users', { email, name })).id));
  }
  for (const [sku, amountMinor] of [
    ['TEA-1', 500],
    ['CUP-1', 900],
  ] as const) {
    await post('/v1/products', { sku, name: sku, price: { amountMinor, currency: 'EUR' } });
  }
  await post('/v1/products/TEA-1/stock', { receiptId: 'r1', quantity: 10 });
  await post(`/v1/users/${users[1]}/deactivate`, {});
  for (const [userId, sku, quantity] of [
    [users[0], 'TEA-1', 1],
    [users[0], 'CUP-1', 2],
    [users[2], 'TEA-1', 3],
  ] as const) {
    orders.push(String((await post('/v1/orders', { userId, lines: [{ sku, quantity }] })).id));
  }
  await post(`/v1/orders/${orders[1]}/cancel`, {});
});
afterAll(async () => service[Symbol.asyncDispose]());

/** The ids of a list. */
async function listed(url: string, field: 'id' | 'sku' = 'id'): Promise<readonly string[]> {
  const headers = { 'min-position': position, prefer: 'wait=5' };
  const response = await service.app.inject({ method: 'GET', url, headers });
  expect(response.statusCode, response.body).toBe(200);
  expect(Number.parseInt(String(response.headers.position), 10)).toBeGreaterThanOrEqual(
    Number.parseInt(position, 10),
  );
  return response.json().items.map((item: Record<string, string>) => item[field]);
}

const of = (...numbers: readonly number[]) => numbers.map((n) => orders[n] ?? '');

describe('orders', () => {
  it('are found by each filter, newest first', async () => {
    expect(await listed('/v1/orders')).toEqual(of(2, 1, 0));
    expect(await listed('/v1/orders?status=cancelled')).toEqual(of(1));
    expect(await listed(`/v1/orders?user=${users[0]}`)).toEqual(of(1, 0));
    expect(await listed(`/v1/orders?user=${users[0]}&status=placed`)).toEqual(of(0));
    expect(await listed('/v1/orders?sku=TEA-1')).toEqual(of(2, 0));
    expect(await listed('/v1/orders?sku=TEA-1&status=cancelled')).toEqual([]);
  });

  it('are found by their totals, both ends included, lowest first', async () => {
    expect(await listed('/v1/orders?sort=total&currency=EUR')).toEqual(of(0, 2, 1));
    expect(await listed('/v1/orders?currency=EUR&totalMin=500&totalMax=1500')).toEqual(of(0, 2));
    expect(await listed('/v1/orders?currency=EUR&totalMin=501&status=placed')).toEqual(of(2));
    expect(await listed('/v1/orders?currency=USD&totalMin=1')).toEqual([]);
  });

  it('are found by when they were placed, from a time and before another one', async () => {
    const shown = await service.app.inject({
      method: 'GET',
      url: `/v1/orders/${orders[1]}?minPosition=${position}`,
    });
    const at = encodeURIComponent(shown.json().placedAt);
    expect(await listed(`/v1/orders?placedFrom=${at}`)).toEqual(of(2, 1));
    expect(await listed(`/v1/orders?placedTo=${at}`)).toEqual(of(0));
  });

  it('are found by the reference that their client gave them, however it is written in Unicode', async () => {
    const lines = [{ sku: 'CUP-1', quantity: 1 }];
    const said = { userId: users[0], lines, externalReference: 'PO-\u00e9/1' };
    const { id } = await post('/v1/orders', said);
    await post('/v1/orders', { ...said, externalReference: 'po-\u00e9/1' });
    const asked = `externalReference=${encodeURIComponent(' PO-e\u0301/1')}`;
    expect(await listed(`/v1/orders?${asked}`)).toEqual([id]);
    expect(await listed(`/v1/orders?${asked}&user=${users[0]}`)).toEqual([id]);
    expect(await listed(`/v1/orders?${asked}&user=${users[2]}`)).toEqual([]);
    const unseen = await service.app.inject({ method: 'GET', url: '/v1/orders?externalReference=%00' });
    expect(unseen.statusCode).toBe(400);
    expect(unseen.json().errors).toMatchObject([{ in: 'query', pointer: '/externalReference' }]);
  });

  it('say which filters go together when these do not', async () => {
    const response = await service.app.inject({ method: 'GET', url: '/v1/orders?user=a&sku=TEA-1' });
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toContain('user + status (sorted by -placedAt)');
  });
});

describe('users', () => {
  it('are found by address, whatever its case, and by how their names begin', async () => {
    expect(await listed('/v1/users?email=ADA@example.com')).toEqual([users[0]]);
    expect(await listed('/v1/users?email=nobody@example.com')).toEqual([]);
    expect(await listed('/v1/users?namePrefix=AD')).toEqual([users[1], users[0]]);
    expect(await listed('/v1/users?namePrefix=ada%20lovel')).toEqual([users[0]]);
    expect(await listed('/v1/users?namePrefix=ad&status=active')).toEqual([users[0]]);
    expect(await listed('/v1/users?status=deactivated')).toEqual([users[1]]);
    expect(await listed('/v1/users?limit=2')).toEqual([users[2], users[1]]);
  });

  it('are not found by an address that they have given up', async () => {
    await post(`/v1/users/${users[2]}/email`, { email: 'hopper@example.com' });
    expect(await listed('/v1/users?email=hopper@example.com')).toEqual([users[2]]);
    expect(await listed('/v1/users?email=grace@example.com')).toEqual([]);
  });
});

it('products are found by status, stock and name together', async () => {
  expect(await listed('/v1/products?inStock=true', 'sku')).toEqual(['TEA-1']);
  expect(await listed('/v1/products?inStock=false&status=listed', 'sku')).toEqual(['CUP-1']);
  expect(await listed('/v1/products?namePrefix=te&inStock=true', 'sku')).toEqual(['TEA-1']);
  expect(await listed('/v1/products?status=discontinued', 'sku')).toEqual([]);
});

it('the table of docs/api.md names each list, and no other', async () => {
  const text = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const [, section = ''] = text.split('## Lists');
  const rows = [...section.matchAll(/^\| `\/v1\/(\w+)` \| (.*?)(?:; each.*?)? \| `(.*?)` \|$/gm)];
  const named = rows.flatMap(([, of = '', filters = '', sort = '']) =>
    filters === '`namePrefix`, alone or with these'
      ? ['none', 'status', 'inStock', 'inStock + status'].map((each) => `${of}: ${each} ${sort}`)
      : filters
          .replaceAll('`', '')
          .split(', ')
          .map((each) => `${of}: ${each} ${sort}`),
  );
  const known = { orders: orderIndex, users: userIndex, products: productIndex };
  const lists = Object.entries(known).flatMap(([of, { lists: all }]) =>
    all.map(
      ({ equal, sort, descending = false }) =>
        `${of}: ${equal.join(' + ') || 'none'} ${descending ? '-' : ''}${sort}`,
    ),
  );
  expect(named.sort()).toEqual(lists.sort());
});
