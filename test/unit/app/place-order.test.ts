import { beforeEach, describe, expect, it } from 'vitest';
import { product } from '../../../src/domain/product.ts';
import { createShop, keyed, PAYMENT_DEADLINE_MS, type Process, type Shop } from './shop.ts';

const line = { sku: 'PEN', quantity: 2 };
const request = { orderId: 'o-1', userId: 'u', lines: [line] };

describe('placing an order', () => {
  let shop: Shop;
  let ids = 0;

  const list = (sku: string, priceMinor: bigint) => {
    const command = {
      type: 'list' as const,
      sku,
      name: `A ${sku}`,
      priceMinor,
      currency: 'EUR',
      at: shop.now(),
    };
    return shop.handler.execute(product, sku, command, keyed(`list-${sku}`));
  };
  const changePrice = (by: Process, priceMinor: bigint) => {
    const command = { type: 'change' as const, priceMinor, at: shop.now() };
    return by.handler.execute(product, 'PEN', command, keyed(`price-${++ids}`));
  };
  const discontinue = (by: Process) =>
    by.handler.execute(
      product,
      'PEN',
      { type: 'change', discontinue: true, at: shop.now() },
      keyed(`end-${++ids}`),
    );

  beforeEach(async () => {
    shop = createShop();
    await list('PEN', 150n);
  });

  it('takes names and prices from the products', async () => {
    await list('INK', 700n);
    const input = { ...request, lines: [line, { sku: 'INK', quantity: 1 }] };
    const result = await shop.useCases.placeOrder(input, keyed('k'));
    expect(result).toMatchObject({
      outcome: 'accepted',
      events: [{ totalMinor: 1000n, lines: [{ name: 'A PEN', unitPriceMinor: 150n }, { name: 'A INK' }] }],
    });
  });

  it.each(['GONE', 'not a sku', ''])('refuses a product that does not exist (%j)', async (sku) => {
    const result = await shop.useCases.placeOrder({ ...request, lines: [{ sku, quantity: 1 }] }, keyed('k'));
    expect(result).toMatchObject({ rejection: { code: 'order/unknown-product', details: { sku } } });
  });

  it('refuses a product that is no longer sold', async () => {
    await discontinue(shop);
    const result = await shop.useCases.placeOrder(request, keyed('k'));
    expect(result).toMatchObject({
      rejection: { code: 'order/product-discontinued', details: { sku: 'PEN' } },
    });
  });

  it('may use a price that is a few seconds old', async () => {
    await changePrice(shop.anotherProcess(), 999n);
    const result = await shop.useCases.placeOrder(request, keyed('k'));
    expect(result).toMatchObject({ events: [{ totalMinor: 300n }] });
  });

  it('refuses nothing for an old price without looking again', async () => {
    await changePrice(shop, 9_007_199_254_740_991n);
    await changePrice(shop.anotherProcess(), 5n);
    const result = await shop.useCases.placeOrder(request, keyed('k'));
    expect(result).toMatchObject({ outcome: 'accepted', events: [{ totalMinor: 10n }] });
  });

  it('repeated with the same key is the same order, whatever became of price and product', async () => {
    const first = await shop.useCases.placeOrder(request, keyed('k'));
    await changePrice(shop, 999n);
    expect(await shop.useCases.placeOrder(request, keyed('k'))).toEqual({ ...first, repeated: true });
    await discontinue(shop);
    expect(await shop.anotherProcess().useCases.placeOrder(request, keyed('k'))).toEqual({
      ...first,
      repeated: true,
    });
    const other = { ...request, lines: [{ sku: 'PEN', quantity: 3 }] };
    expect((await shop.useCases.placeOrder(other, keyed('k', 2))).outcome).toBe('key-reused');
  });

  it('refuses too many lines without looking their products up', async () => {
    const lines = Array.from({ length: 101 }, (_, i) => ({ sku: `NO-${i}`, quantity: 1 }));
    const result = await shop.useCases.placeOrder({ ...request, lines }, keyed('k'));
    expect(result).toMatchObject({ rejection: { code: 'order/invalid-line-count' } });
  });

  it('says how the order is paid and until when', async () => {
    const input = { ...request, paymentToken: 'tok_1' };
    const result = await shop.useCases.placeOrder(input, keyed('k'));
    const paymentDueAt = BigInt(shop.now() + PAYMENT_DEADLINE_MS);
    expect(result).toMatchObject({ events: [{ paymentToken: 'tok_1', paymentDueAt }] });
  });

  it('is paid in the configured way, or refused where there is none, when the request does not say', async () => {
    const result = await shop.useCases.placeOrder(request, keyed('k'));
    expect(result).toMatchObject({ events: [{ paymentToken: 'tok_default' }] });
    const strict = createShop({});
    expect(await strict.useCases.placeOrder(request, keyed('k'))).toMatchObject({
      rejection: { code: 'order/payment-required' },
    });
  });

  it('waits a quarter of an hour for the payment when nothing else is configured', async () => {
    shop = createShop({ paymentDeadlineMs: undefined });
    await list('PEN', 150n);
    const result = await shop.useCases.placeOrder({ ...request, paymentToken: 'tok_1' }, keyed('k'));
    expect(result).toMatchObject({ events: [{ paymentDueAt: BigInt(shop.now() + 900_000) }] });
  });

  it('refuses an order without lines', async () => {
    const result = await shop.useCases.placeOrder({ ...request, lines: [] }, keyed('k'));
    expect(result).toMatchObject({ rejection: { code: 'order/invalid-line-count' } });
  });
});
