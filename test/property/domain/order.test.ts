import fc from 'fast-check';
import { expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import { runCommands as run } from '../../../src/testing/properties.ts';
import { commands as orderCommands } from './commands/order.ts';

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

test('the total is the sum of the lines and each line is quantity times price, exactly', () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      for (const event of run(order, commands).flatMap(({ events }) => events)) {
        if (event.$typeName !== 'jetledger.order.v1.OrderPlaced') continue;
        let total = 0n;
        for (const line of event.lines) {
          expect(line.lineTotalMinor).toBe(line.quantity * line.unitPriceMinor);
          total += line.lineTotalMinor;
        }
        expect(event.totalMinor).toBe(total);
        expect(total > 0n && total <= MAX).toBe(true);
      }
    }),
  );
});

test('a placed order has 1 to 100 lines of distinct products, at the prices and quantities that were asked', () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      for (const { command, events } of run(order, commands)) {
        for (const event of events) {
          if (event.$typeName !== 'jetledger.order.v1.OrderPlaced' || command.type !== 'place') continue;
          expect(event.lines.length).toBeGreaterThanOrEqual(1);
          expect(event.lines.length).toBeLessThanOrEqual(100);
          expect(new Set(event.lines.map(({ sku }) => sku)).size).toBe(event.lines.length);
          const stored = event.lines.map(({ sku, name, quantity, unitPriceMinor }) => {
            return { sku, name, quantity: Number(quantity), unitPriceMinor, currency: event.currency };
          });
          expect(stored).toEqual(command.lines);
        }
      }
    }),
  );
});

const type = ($typeName: string) => $typeName.slice($typeName.lastIndexOf('.') + 1);

test('an order goes through its steps in their order, each at most once, and fails, is cancelled or refunded at most once', () => {
  const steps = [
    'OrderPlaced',
    'CustomerValidated',
    'OrderStockReserved',
    'PaymentAuthorised',
    'PaymentCaptured',
    'OrderConfirmed',
    'OrderShipped',
    'OrderDelivered',
  ];
  fc.assert(
    fc.property(orderCommands, (commands) => {
      const types = run(order, commands).flatMap(({ events }) => events.map((e) => type(e.$typeName)));
      const taken = types.filter((name) => steps.includes(name));
      // An authorisation may go unreported; the capture says it too.
      const expected = taken.includes('PaymentAuthorised')
        ? steps
        : steps.filter((name) => name !== 'PaymentAuthorised');
      expect(taken).toEqual(expected.slice(0, taken.length));
      const ends = ['OrderRejected', 'OrderCancelled', 'OrderRefundGranted'];
      const ended = types.findIndex((name) => ends.includes(name));
      const compensations = ['OrderStockReleased', 'PaymentCancelled', 'PaymentRefunded'];
      const after = ended === -1 ? [] : types.slice(ended + 1);
      expect(after.every((name) => compensations.includes(name))).toBe(true);
      expect(after.filter((name) => name === 'OrderStockReleased').length).toBeLessThanOrEqual(1);
      expect(after.filter((name) => name.startsWith('Payment')).length).toBeLessThanOrEqual(1);
      if (ended === -1) expect(types.some((name) => compensations.includes(name))).toBe(false);
    }),
    { numRuns: 500 },
  );
});

test('a captured payment and the confirmation are one commit, and after it the order is never rejected', () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      let confirmed = false;
      for (const { events } of run(order, commands)) {
        const types = events.map((e) => type(e.$typeName));
        if (confirmed) expect(types).not.toContain('OrderRejected');
        if (types.includes('PaymentCaptured') || types.includes('OrderConfirmed')) {
          expect(types).toEqual(['PaymentCaptured', 'OrderConfirmed']);
          confirmed = true;
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("every amount that a payment moves is the order's total in its currency", () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      for (const { events, after } of run(order, commands)) {
        for (const event of events) {
          if (!('paymentId' in event && 'amountMinor' in event) || after.status === 'absent') continue;
          expect([event.amountMinor, event.currency]).toEqual([after.totalMinor, after.currency]);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('only what was paid is refunded, and all of it, once: never cancelled at the provider instead', () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      const types = run(order, commands).flatMap(({ events }) => events.map((e) => type(e.$typeName)));
      if (!types.includes('OrderRefundGranted')) return;
      expect(types.indexOf('OrderConfirmed')).toBeGreaterThan(-1);
      expect(types).not.toContain('PaymentCancelled');
      expect(types.filter((name) => name === 'PaymentRefunded').length).toBeLessThanOrEqual(1);
    }),
    { numRuns: 500 },
  );
});
