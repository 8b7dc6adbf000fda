import fc from 'fast-check';
import type { OrderCommand } from '../../../../src/domain/order.ts';
import type { OrderDetails } from '../../../../src/domain/order-details.ts';
import { at, beginning, is, orderLines, orderSteps, totalOf, userId } from '../arbitraries.ts';
/** Commands for one order. Few distinct baskets, so that the same one is placed again, perhaps at other prices. */
export const commands: fc.Arbitrary<OrderCommand[]> = fc
  .array(orderLines, { minLength: 1, maxLength: 2 })
  .chain((baskets) => {
    const repriced = baskets.map((lines) =>
      lines.map((l) => ({ ...l, unitPriceMinor: l.unitPriceMinor + 1n })),
    );
    const lines = fc.constantFrom(...baskets, ...repriced);
    const details = fc.constantFrom<OrderDetails>(
      ...[{}, {}, { externalReference: 'PO 1' }, { metadata: { a: '1' } }, { externalReference: ' ' }],
      { deliveryAddress: { name: 'Ada', street: 'St 1', city: 'London', country: 'GB' } },
    );
    const place = fc.record({
      type: is('place'),
      orderId: is('o1'),
      userId,
      lines,
      paymentToken: fc.constantFrom('tok_1', 'tok_1', 'tok_1', 'tok_2', 'two words'),
      paymentDueAt: fc.integer({ min: 1_700_000_030_000, max: 1_700_000_090_000 }),
      details,
      at,
    });
    const totals = baskets.flatMap((basket) => [totalOf(basket), totalOf(basket) + 1n]);
    const later = orderSteps(fc.constantFrom(...totals));
    const rest = fc.array(fc.oneof({ weight: 1, arbitrary: place }, { weight: 12, arbitrary: later }), {
      maxLength: 24,
    });
    return beginning<OrderCommand>(place, rest);
  });
