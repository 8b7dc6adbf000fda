import fc from 'fast-check';
import type { OrderCommand } from '../../../src/domain/order.ts';
import type { NewOrderLine } from '../../../src/domain/order-lines.ts';

// Few ids, few attempts and few addresses, so that commands meet each other; now and then a value that is refused.

export const at = fc.integer({ min: 1_700_000_000_000, max: 1_700_000_060_000 });
export const userId = fc.constantFrom('u1', 'u2');
export const attempt = fc.constantFrom('a1', 'a2', 'a3');
export const address = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('ada@example.com', 'ada@example.org', 'bob@example.net') },
  { weight: 1, arbitrary: fc.constantFrom('', 'Ada@example.com', 'ada@localhost') },
);
export const name = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('Ada', 'Bob', ' Ada ', 'Ade\u0301le') },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
  { weight: 1, arbitrary: fc.constantFrom('', 'a\u0000', '\ud800') },
);
export const reason = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('', 'changed my mind') },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 4 }) },
);
export const price = fc.oneof(
  { weight: 9, arbitrary: fc.bigInt({ min: 1n, max: 100_000n }) },
  { weight: 1, arbitrary: fc.constantFrom(-1n, 0n, 9_007_199_254_740_991n, 9_007_199_254_740_992n) },
);
export const quantity = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 5 }) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 0, 0.5, Number.NaN, 1_000_000, 1_000_000_000, 1_000_000_001) },
);
export const currency = fc.constantFrom('EUR', 'EUR', 'EUR', 'EUR', 'EUR', 'USD', 'XXX');

export const is = <Type extends string>(type: Type) => fc.constant(type);
export const sequence = <Command>(...commands: fc.Arbitrary<Command>[]) =>
  fc.array(fc.oneof(...commands), { maxLength: 30 });

/** Lines as the service looks them up; mostly of distinct products in one currency. */
export const orderLines: fc.Arbitrary<NewOrderLine[]> = (() => {
  const line = fc.record({
    sku: fc.constantFrom('TEA-1', 'CUP-1', 'POT-1', 'JAR-1', 'tea'),
    name: fc.constantFrom('Tea', 'Cup', 'Ade\u0301le', ''),
    quantity,
    unitPriceMinor: price,
    currency,
  });
  const sound = fc.record({
    sku: fc.integer({ min: 1, max: 200 }).map((n) => `SKU-${n}`),
    name: fc.constantFrom('Tea', 'Cup'),
    quantity: fc.integer({ min: 1, max: 1_000_000 }),
    unitPriceMinor: fc.bigInt({ min: 1n, max: 200_000_000n }),
    currency: fc.constant('EUR'),
  });
  return fc.oneof(
    fc.array(line, { maxLength: 4 }),
    fc.uniqueArray(sound, { minLength: 1, maxLength: 102, selector: (l) => l.sku, size: 'max' }),
  );
})();

export const totalOf = (lines: readonly NewOrderLine[]): bigint =>
  lines.reduce(
    (sum, line) => sum + line.unitPriceMinor * BigInt(Number.isInteger(line.quantity) ? line.quantity : 1),
    0n,
  );

/** What comes after an order was placed. The successful steps are frequent, so that some orders get far. */
export function orderSteps(amountMinor: fc.Arbitrary<bigint>): fc.Arbitrary<OrderCommand> {
  const paymentId = fc.constantFrom('p1', 'p2');
  const paid = { paymentId, amountMinor, currency: fc.constantFrom('EUR', 'EUR', 'EUR', 'USD'), at };
  const step = fc.constantFrom('customer_validation', 'inventory', 'payment');
  const by = fc.constantFrom('customer', 'customer-deactivated');
  const often = <C extends OrderCommand>(arbitrary: fc.Arbitrary<C>) => ({ weight: 6, arbitrary });
  return fc.oneof<fc.MaybeWeightedArbitrary<OrderCommand>[]>(
    often(fc.record({ type: is('recordCustomerValidated'), directoryPosition: fc.nat(9), at })),
    often(fc.record({ type: is('recordStockReserved'), at })),
    often(fc.record({ type: is('recordAuthorised'), ...paid })),
    often(fc.record({ type: is('recordCaptured'), ...paid })),
    fc.record({ type: is('reject'), step, code: is('x/y'), reason: is('Because.'), at }),
    fc.record({ type: is('expire'), at }),
    fc.record({ type: is('cancel'), reason, by, at }),
    often(fc.record({ type: is('ship'), tracking: fc.constantFrom('', 'T-1', 'ü'), at })),
    fc.record({ type: is('deliver'), at }),
    fc.record({
      type: is('refund'),
      reason: fc.constantFrom('lost', 'broken', ''),
      restock: fc.boolean(),
      at,
    }),
    fc.record({ type: is('recordStockReleased'), at }),
    fc.record({ type: is('recordPaymentCancelled'), paymentId, at }),
    fc.record({ type: is('recordPaymentRefunded'), ...paid }),
  );
}

/** Mostly the first command and then the others; sometimes the others at once. */
export function beginning<Command>(first: fc.Arbitrary<Command>, later: fc.Arbitrary<Command[]>) {
  return fc
    .tuple(fc.option(first, { freq: 9 }), later)
    .map(([one, rest]) => (one === null ? rest : [one, ...rest]));
}
