import fc from 'fast-check';
import { expect, test } from 'vitest';
import { product } from '../../../src/domain/product.ts';
import { runCommands as run } from '../../../src/testing/properties.ts';
import { commands as productCommands } from './commands/product.ts';

const RUNS = { numRuns: 300 };

test('stock is what was received, each receipt once, less what was shipped; never below what is reserved', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      const receipts = new Set<string>();
      let onHand = 0n;
      for (const { events, after } of run(product, commands)) {
        for (const event of events) {
          if (event.$typeName === 'jetledger.product.v1.StockReceived') {
            expect(receipts).not.toContain(event.receiptId);
            receipts.add(event.receiptId);
            expect(event.quantity > 0n).toBe(true);
            onHand += event.quantity;
          } else if (event.$typeName === 'jetledger.product.v1.StockShipped') onHand -= event.quantity;
        }
        if (after.status === 'absent') expect(receipts.size).toBe(0);
        else {
          expect(after.onHand).toBe(onHand);
          expect(after.reserved >= 0n && after.reserved <= after.onHand).toBe(true);
        }
        expect(onHand <= BigInt(Number.MAX_SAFE_INTEGER)).toBe(true);
      }
    }),
    RUNS,
  );
});

test('what is reserved is the sum of the open reservations, and an order reserves at most once, ever', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      const open = new Map<string, bigint>();
      const ended = new Set<string>();
      for (const { events, after } of run(product, commands)) {
        for (const event of events) {
          if (event.$typeName === 'jetledger.product.v1.StockReserved') {
            expect(open).not.toContain(event.orderId);
            expect(ended).not.toContain(event.orderId);
            open.set(event.orderId, event.quantity);
          } else if (
            event.$typeName === 'jetledger.product.v1.StockReleased' ||
            event.$typeName === 'jetledger.product.v1.StockShipped'
          ) {
            expect(event.quantity).toBe(open.get(event.orderId) ?? 0n);
            open.delete(event.orderId);
            ended.add(event.orderId);
          } else continue;
          expect(event.reserved).toBe(sumOf(open.values()));
        }
        if (after.status !== 'absent') expect(after.reserved).toBe(sumOf(open.values()));
      }
    }),
    RUNS,
  );
});

function sumOf(quantities: Iterable<bigint>): bigint {
  let sum = 0n;
  for (const quantity of quantities) sum += quantity;
  return sum;
}

test('after a product was discontinued its reservations still end, and nothing else happens to it', () => {
  const ends = ['jetledger.product.v1.StockReleased', 'jetledger.product.v1.StockShipped'];
  fc.assert(
    fc.property(productCommands, (commands) => {
      for (const { before, events } of run(product, commands)) {
        if (before.status !== 'discontinued') continue;
        expect(events.every(({ $typeName }) => ends.includes($typeName))).toBe(true);
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
