import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ProductEvent, product } from '../../../src/domain/product.ts';
import { runCommands as run } from '../../../src/testing/properties.ts';
import { commands as productCommands } from './commands/product.ts';

const RUNS = { numRuns: 300 };

/** What an event adds to the stock on hand, and the paper that says so. */
function bookingOf(event: ProductEvent): { readonly paper?: string; readonly change: bigint } {
  switch (event.$typeName) {
    case 'jetledger.product.v1.StockReceived':
      return { paper: `receipt ${event.receiptId}`, change: event.quantity };
    case 'jetledger.product.v1.StockCorrected':
      return { paper: `correction ${event.correctionId}`, change: event.change };
    case 'jetledger.product.v1.StockReturned':
      return { paper: `return ${event.orderId}`, change: event.quantity };
    case 'jetledger.product.v1.StockShipped':
      return { change: -event.quantity };
    default:
      return { change: 0n };
  }
}

test('stock is what was received, returned and corrected, each once, less what was shipped; never below what is reserved', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      const papers = new Set<string>();
      let onHand = 0n;
      for (const { events, after } of run(product, commands)) {
        for (const event of events) {
          const { paper, change } = bookingOf(event);
          if (paper !== undefined) {
            expect(papers).not.toContain(paper);
            papers.add(paper);
          }
          onHand += change;
        }
        if (after.status === 'absent') expect(papers.size).toBe(0);
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

test('a correction leaves as many pieces as were counted, or takes away as many as were lost', () => {
  fc.assert(
    fc.property(productCommands, (commands) => {
      for (const { events } of run(product, commands)) {
        for (const event of events) {
          if (event.$typeName !== 'jetledger.product.v1.StockCorrected') continue;
          const { kind, quantity, change, onHand } = event;
          expect(kind === 'count' ? onHand : -change).toBe(quantity);
        }
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

test('after a product was discontinued its reservations end, its stock comes back and is corrected, and no more', () => {
  const ends = ['StockReleased', 'StockShipped', 'StockReturned', 'StockCorrected'].map(
    (name) => `jetledger.product.v1.${name}`,
  );
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
