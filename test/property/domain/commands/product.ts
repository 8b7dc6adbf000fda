import fc from 'fast-check';
import type { ProductCommand } from '../../../../src/domain/product.ts';
import { at, beginning, currency, is, name, price, quantity } from '../arbitraries.ts';
/** Commands for one product; the first often lists it. */
export const commands: fc.Arbitrary<ProductCommand[]> = (() => {
  const sku = fc.constantFrom('TEA-1', 'TEA-1', 'TEA-1', 'tea');
  const list = fc.record({ type: is('list'), sku, name, priceMinor: price, currency, at });
  const receiptId = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5', 'a b');
  const receive = fc.record({ type: is('receiveStock'), receiptId, quantity, at });
  const change = fc.record(
    { type: is('change'), name, priceMinor: price, at },
    { requiredKeys: ['type', 'at'] },
  );
  const discontinue = fc.record(
    { type: is('change'), name, discontinue: fc.constant(true), at },
    { requiredKeys: ['type', 'discontinue', 'at'] },
  );
  const orderId = fc.constantFrom('o1', 'o2', 'o3', 'o4');
  const reserve = fc.record({ type: is('reserveStock'), orderId, quantity, at });
  const correct = fc.record({
    type: is('correctStock'),
    correctionId: fc.constantFrom('c1', 'c2', 'c3', 'c4', ''),
    kind: fc.constantFrom('count', 'loss'),
    quantity: fc.oneof(fc.constant(0), quantity),
    reason: fc.constantFrom('broken', 'counted', ' ', 'a\u0000'),
    at,
  });
  const end = fc.record({ type: fc.constantFrom('releaseStock', 'shipStock'), orderId, at });
  const back = fc.record({ type: is('returnStock'), orderId, quantity, at });
  const later = fc.array(
    fc.oneof(
      { weight: 1, arbitrary: list },
      { weight: 4, arbitrary: change },
      { weight: 6, arbitrary: receive },
      { weight: 8, arbitrary: reserve },
      { weight: 6, arbitrary: end },
      { weight: 2, arbitrary: back },
      { weight: 5, arbitrary: correct },
      { weight: 1, arbitrary: discontinue },
    ),
    { maxLength: 30 },
  );
  return beginning<ProductCommand>(list, later);
})();
