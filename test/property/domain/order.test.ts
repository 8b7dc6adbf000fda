import fc from 'fast-check';
import { expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import { orderCommands } from './arbitraries.ts';
import { run } from './history.ts';

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

test('an order is placed at most once, then cancelled at most once, and nothing happens after that', () => {
  fc.assert(
    fc.property(orderCommands, (commands) => {
      const types = run(order, commands).flatMap(({ events }) => events.map((event) => event.$typeName));
      const whole = ['jetledger.order.v1.OrderPlaced', 'jetledger.order.v1.OrderCancelled'];
      expect(types).toEqual(whole.slice(0, types.length));
    }),
  );
});
