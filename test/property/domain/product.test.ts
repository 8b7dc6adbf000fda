import fc from 'fast-check';
import { expect, test } from 'vitest';
import { product } from '../../../src/domain/product.ts';
import { productCommands } from './arbitraries.ts';
import { run } from './history.ts';

const RUNS = { numRuns: 300 };

test('stock is the sum of the receipts, each counted once; never below zero, never beyond exact integers', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      const receipts = new Map<string, bigint>();
      for (const { events, after } of run(product, commands)) {
        for (const event of events) {
          if (event.$typeName !== 'jetledger.product.v1.StockReceived') continue;
          expect(receipts).not.toContain(event.receiptId);
          receipts.set(event.receiptId, event.quantity);
          expect(event.quantity > 0n).toBe(true);
        }
        const onHand = [...receipts.values()].reduce((sum, quantity) => sum + quantity, 0n);
        if (after.status === 'absent') expect(receipts.size).toBe(0);
        else expect(after.onHand).toBe(onHand);
        expect(onHand >= 0n && onHand <= BigInt(Number.MAX_SAFE_INTEGER)).toBe(true);
      }
    }),
    RUNS,
  );
});

test('nothing happens to a product after it was discontinued', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      for (const { before, events } of run(product, commands)) {
        if (before.status === 'discontinued') expect(events).toEqual([]);
      }
    }),
    RUNS,
  );
});

test('each price is positive, follows the one before, and stays in the currency of the listing', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      let price: { priceMinor: bigint; currency: string } | undefined;
      for (const event of run(product, commands).flatMap(({ events }) => events)) {
        if (event.$typeName === 'jetledger.product.v1.ProductPriceChanged') {
          const { previousPriceMinor, currency } = event;
          expect({ priceMinor: previousPriceMinor, currency }).toEqual(price);
          expect(event.priceMinor).not.toBe(previousPriceMinor);
        } else if (event.$typeName === 'jetledger.product.v1.ProductListed') expect(price).toBeUndefined();
        else continue;
        price = { priceMinor: event.priceMinor, currency: event.currency };
        expect(price.priceMinor > 0n).toBe(true);
      }
    }),
    RUNS,
  );
});
