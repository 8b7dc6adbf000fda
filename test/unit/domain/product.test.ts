import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { type ProductCommand, product } from '../../../src/domain/product.ts';
import {
  ProductDiscontinuedSchema,
  ProductListedSchema,
  ProductPriceChangedSchema,
  ProductRenamedSchema,
  StockReceivedSchema,
} from '../../../src/gen/jetledger/product/v1/product_pb.ts';
import { AT, AT_EVENT, given } from './spec.ts';

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

const listed = create(ProductListedSchema, {
  sku: 'TEA-1',
  name: 'Tea',
  priceMinor: 450n,
  currency: 'EUR',
  listedAt: AT_EVENT,
});
const renamed = create(ProductRenamedSchema, { name: 'Green tea', renamedAt: AT_EVENT });
const repriced = create(ProductPriceChangedSchema, {
  priceMinor: 500n,
  previousPriceMinor: 450n,
  currency: 'EUR',
  changedAt: AT_EVENT,
});
const discontinued = create(ProductDiscontinuedSchema, { discontinuedAt: AT_EVENT });
const received = (receiptId: string, quantity: bigint, onHand: bigint) =>
  create(StockReceivedSchema, { receiptId, quantity, onHand, receivedAt: AT_EVENT });

const list = { type: 'list', sku: 'TEA-1', name: 'Tea', priceMinor: 450n, currency: 'EUR', at: AT } as const;
const rename = { type: 'change', name: 'Green tea', at: AT } as const;
const changePrice = { type: 'change', priceMinor: 500n, at: AT } as const;
const discontinue = { type: 'change', discontinue: true, at: AT } as const;
const receive = (receiptId: string, quantity: number) =>
  ({ type: 'receiveStock', receiptId, quantity, at: AT }) as const;

describe('listing', () => {
  test('puts a product up for sale without stock', () => {
    given(product).when(list).thenEvents(listed);
    expect(given(product, listed).state).toMatchObject({ status: 'listed', onHand: 0n, currency: 'EUR' });
  });

  test('again in the same way changes nothing, whatever has changed since', () => {
    given(product, listed).when(list).thenNothing();
    given(product, listed)
      .when({ ...list, name: 'Tea ' })
      .thenNothing();
    given(product, listed, renamed, repriced, discontinued).when(list).thenNothing();
  });

  test.each([{ name: 'Coffee' }, { priceMinor: 451n }, { currency: 'USD' }, { name: '' }])(
    'is refused when the SKU exists with another %o',
    (other) => {
      given(product, listed)
        .when({ ...list, ...other })
        .thenRejected('product/exists');
    },
  );

  test('is refused under the SKU of a discontinued product', () => {
    given(product, listed, discontinued)
      .when({ ...list, name: 'Coffee' })
      .thenRejected('product/exists');
  });

  test.each(['', 'tea', '-TEA', 'TEA.1', 'T>', `T${'1'.repeat(64)}`])('refuses the SKU %j', (sku) => {
    given(product)
      .when({ ...list, sku })
      .thenRejected('product/invalid-sku');
  });

  test('refuses an empty name', () => {
    given(product)
      .when({ ...list, name: ' ' })
      .thenRejected('product/invalid-name');
  });

  test.each(['EURO', 'eur', 'XXX', 'BGN', ''])('refuses the currency %j', (currency) => {
    given(product)
      .when({ ...list, currency })
      .thenRejected('product/unknown-currency');
  });

  test.each([0n, -1n, MAX + 1n])('refuses the price %s', (priceMinor) => {
    given(product)
      .when({ ...list, priceMinor })
      .thenRejected('product/invalid-price');
  });

  test.each([1n, MAX])('takes the price %s', (priceMinor) => {
    given(product)
      .when({ ...list, priceMinor })
      .thenEvents(create(ProductListedSchema, { ...listed, priceMinor }));
  });
});

describe('a product that was not listed', () => {
  const commands: ProductCommand[] = [rename, changePrice, receive('r1', 1), discontinue];
  test.each(commands)('refuses $type', (command) => {
    given(product).when(command).thenRejected('product/not-found');
  });
});

describe('renaming', () => {
  test('changes the name', () => {
    given(product, listed).when(rename).thenEvents(renamed);
  });

  test('to the name that it has changes nothing', () => {
    given(product, listed, renamed).when(rename).thenNothing();
  });

  test('to an empty name is refused', () => {
    given(product, listed)
      .when({ ...rename, name: '' })
      .thenRejected('product/invalid-name');
  });

  test('is refused once it is discontinued', () => {
    given(product, listed, discontinued).when(rename).thenRejected('product/discontinued');
  });
});

describe('changing the price', () => {
  test('records the old and the new one in the currency of the listing', () => {
    given(product, listed).when(changePrice).thenEvents(repriced);
  });

  test('to the price that it has changes nothing', () => {
    given(product, listed, repriced).when(changePrice).thenNothing();
  });

  test.each([0n, -500n, MAX + 1n])('to %s is refused', (priceMinor) => {
    given(product, listed)
      .when({ ...changePrice, priceMinor })
      .thenRejected('product/invalid-price');
  });

  test('is refused once it is discontinued', () => {
    given(product, listed, discontinued).when(changePrice).thenRejected('product/discontinued');
  });
});

describe('receiving stock', () => {
  test('adds to what is on hand', () => {
    given(product, listed)
      .when(receive('r1', 5))
      .thenEvents(received('r1', 5n, 5n));
    given(product, listed, received('r1', 5n, 5n))
      .when(receive('r2', 7))
      .thenEvents(received('r2', 7n, 12n));
  });

  test('under the same receipt never counts twice, also after other receipts or a discontinuation', () => {
    const history = [listed, received('r1', 5n, 5n), received('r2', 7n, 12n)] as const;
    given(product, ...history)
      .when(receive('r1', 5))
      .thenNothing();
    given(product, ...history, discontinued)
      .when(receive('r1', 5))
      .thenNothing();
  });

  test('under the same receipt with another quantity is refused', () => {
    given(product, listed, received('r1', 5n, 5n))
      .when(receive('r1', 6))
      .thenRejected('product/receipt-conflict', { quantity: 5 });
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1_000_000_001])(
    'refuses %d pieces',
    (quantity) => {
      given(product, listed).when(receive('r1', quantity)).thenRejected('product/invalid-quantity');
    },
  );

  test.each([1, 1_000_000_000])('takes %d pieces', (quantity) => {
    given(product, listed)
      .when(receive('r1', quantity))
      .thenEvents(received('r1', BigInt(quantity), BigInt(quantity)));
  });

  test.each(['', 'a b', 'ä', 'x'.repeat(101)])('refuses the receipt id %j', (receiptId) => {
    given(product, listed).when(receive(receiptId, 1)).thenRejected('product/invalid-receipt');
  });

  test('up to the largest exact integer is taken, beyond it refused', () => {
    given(product, listed, received('r1', MAX - 1n, MAX - 1n))
      .when(receive('r2', 1))
      .thenEvents(received('r2', 1n, MAX));
    given(product, listed, received('r1', MAX - 1n, MAX - 1n))
      .when(receive('r2', 2))
      .thenRejected('product/stock-overflow');
  });

  test('is refused once it is discontinued', () => {
    given(product, listed, discontinued).when(receive('r1', 1)).thenRejected('product/discontinued');
  });
});

describe('discontinuing', () => {
  test('ends the sale and keeps the stock', () => {
    given(product, listed, received('r1', 5n, 5n))
      .when(discontinue)
      .thenEvents(discontinued);
    const { state } = given(product, listed, received('r1', 5n, 5n), discontinued);
    expect(state).toMatchObject({ status: 'discontinued', onHand: 5n });
  });

  test('again changes nothing', () => {
    given(product, listed, discontinued).when(discontinue).thenNothing();
  });
});

describe('a change of several things', () => {
  const all = { type: 'change', name: 'Green tea', priceMinor: 500n, discontinue: true, at: AT } as const;

  test('happens all at once', () => {
    given(product, listed).when(all).thenEvents(renamed, repriced, discontinued);
  });

  test('happens not at all when one of them is refused', () => {
    given(product, listed)
      .when({ ...all, priceMinor: 0n })
      .thenRejected('product/invalid-price');
  });

  test('is done already when it is repeated', () => {
    given(product, listed, renamed, repriced, discontinued).when(all).thenNothing();
  });
});
