import type { LightMyRequestResponse } from 'fastify';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { type Client, clientOf, field, list } from './requests.ts';

interface Item {
  readonly sku: string;
  readonly status: number;
  readonly version?: number;
  readonly problem?: { readonly code: string };
}

let service: MemoryService;
let client: Client;

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
});
afterEach(() => service[Symbol.asyncDispose]());

const KEY = { 'idempotency-key': 'k' };
const product = (sku: string, amountMinor = 1290) => ({
  sku,
  name: `Product ${sku}`,
  price: { amountMinor, currency: 'EUR' },
});
const many = (count: number) => Array.from({ length: count }, (_, n) => product(`P-${n}`));
const listAll = (products: readonly object[], headers: Record<string, string> = KEY) =>
  client.post('/v1/batches/products', { products }, headers);
const itemsOf = (response: LightMyRequestResponse) => response.json<{ items: Item[] }>().items;
const told = (response: LightMyRequestResponse) =>
  itemsOf(response).map(({ sku, status, problem }) => [sku, status, ...(problem ? [problem.code] : [])]);

describe('a batch', () => {
  it('answers each item as if it had been sent alone, in order, and shows up to where it wrote', async () => {
    await list(client, 'OLD');
    await list(client, 'SAME');
    const response = await listAll([product('NEW'), product('OLD', 1), product('SAME'), product('X', 2)]);
    expect(told(response)).toEqual([
      ['NEW', 201],
      ['OLD', 409, 'product/exists'],
      ['SAME', 200],
      ['X', 201],
    ]);
    const last = Math.max(...itemsOf(response).map(({ version = 0 }) => version));
    expect(String(response.headers.position)).toMatch(new RegExp(`^${last}@`));
  });

  it('of receipts adds each once, and a part of it may be sent again', async () => {
    for (const sku of ['A', 'B']) await list(client, sku);
    const receipts = ['A', 'B', 'C'].map((sku) => ({ sku, receiptId: 'DN-1', quantity: 5 }));
    const send = (some: readonly object[]) => client.post('/v1/batches/receipts', { receipts: some }, KEY);
    const first = await send(receipts);
    expect(told(first)).toEqual([
      ['A', 200],
      ['B', 200],
      ['C', 404, 'product/not-found'],
    ]);
    expect(itemsOf(await send(receipts.slice(1)))).toEqual(itemsOf(first).slice(1));
    expect(field(await client.get('/v1/products/A'), 'onHand')).toBe(5);
  });

  it('under the same key answers the same, and refuses an item that is another one now', async () => {
    const first = itemsOf(await listAll(many(40)));
    expect(itemsOf(await listAll(many(40)))).toEqual(first);
    const changed = await listAll([product('P-0'), product('P-1', 7), product('P-99')]);
    expect(told(changed)).toEqual([
      ['P-0', 201],
      ['P-1', 422, 'idempotency/key-reused'],
      ['P-99', 201],
    ]);
  });

  it('begins nothing more after a fault, says so, and goes on when it is sent again', async () => {
    const { execute } = service.deps.handler;
    let left = 20;
    const faulty = vi.spyOn(service.deps.handler, 'execute').mockImplementation((...args) => {
      if (left-- <= 0) throw new LogUnavailable('a test');
      return execute(...args) as Promise<never>;
    });
    const broken = itemsOf(await listAll(many(100)));
    faulty.mockRestore();
    const done = broken.filter(({ status }) => status === 201);
    expect(done).toHaveLength(20);
    expect(new Set(broken.slice(40).map(({ problem }) => problem?.code))).toEqual(
      new Set(['service/overloaded']),
    );
    const again = itemsOf(await listAll(many(100)));
    expect(again.every(({ status }) => status === 201)).toBe(true);
    expect(again).toEqual(expect.arrayContaining(done));
  });

  it('that names a product twice, holds nothing or more than a thousand items, or a wrong one is refused whole', async () => {
    const before = await service.log.head();
    const twice = await listAll([product('A'), product('B'), product('A')]);
    expect([twice.statusCode, field(twice, 'errors')]).toEqual([
      400,
      [{ in: 'body', pointer: '/products/2/sku', detail: 'stands more than once; send each SKU once' }],
    ]);
    const wrong = await listAll([
      product('A'),
      { ...product('B'), price: { amountMinor: 0, currency: 'EUR' } },
    ]);
    expect(field(wrong, 'errors')).toMatchObject([{ pointer: '/products/1/price/amountMinor' }]);
    for (const products of [[], many(1_001)]) expect((await listAll(products)).statusCode).toBe(400);
    expect(await service.log.head()).toBe(before);
  });

  it('of a thousand with the longest names is taken', async () => {
    const products = many(1_000).map((one) => ({ ...one, name: '💥'.repeat(200) }));
    const response = await listAll(products);
    expect(itemsOf(response).filter(({ status }) => status === 201)).toHaveLength(1_000);
  });

  it('is one of two at most of a caller at once', async () => {
    let go = (): void => undefined;
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { execute } = service.deps.handler;
    const held = vi.spyOn(service.deps.handler, 'execute').mockImplementation(async (...args) => {
      await waiting;
      return execute(...args) as Promise<never>;
    });
    const open = Promise.all([listAll([product('A')]), listAll([product('B')])]);
    const third = await listAll([product('C')]);
    expect([third.statusCode, field(third, 'code')]).toEqual([429, 'request/too-many-open']);
    go();
    held.mockRestore();
    expect((await open).map((response) => response.statusCode)).toEqual([200, 200]);
  });
});
