import fc from 'fast-check';

/** What happens in one schedule. Times are milliseconds after the start. */
export interface ShopScenario {
  /** Decides every interleaving, delay and fault. */
  readonly seed: number;
  readonly orders: readonly PlannedOrder[];
  /** Pieces on hand, by SKU. */
  readonly stock: Readonly<Record<Sku, number>>;
  /** When the second customer is deactivated, if ever. */
  readonly deactivateAt: number | undefined;
}

export interface PlannedOrder {
  readonly placeAt: number;
  readonly userId: 'ada' | 'bob' | 'nobody';
  readonly lines: readonly { readonly sku: Sku; readonly quantity: number }[];
  /** `broke`: authorised, but the capture is declined; `mute`: authorised, but nobody ever hears of it. */
  readonly token: 'fine' | 'declined' | 'broke' | 'mute';
  readonly cancelAt: number | undefined;
  readonly shipAt: number | undefined;
}

export const SKUS = ['TEA', 'CUP', 'POT'] as const;
export type Sku = (typeof SKUS)[number];

/** Little stock, few customers and much happening at the same time. */
export const shopScenarios: fc.Arbitrary<ShopScenario> = fc.record({
  seed: fc.nat(2 ** 31 - 1),
  stock: fc.record({ TEA: fc.nat(6), CUP: fc.nat(6), POT: fc.nat(6) }),
  deactivateAt: fc.option(fc.nat(20_000), { nil: undefined, freq: 2 }),
  orders: fc.array(
    fc.record({
      placeAt: fc.nat(5_000),
      userId: fc.constantFrom('ada', 'ada', 'bob', 'bob', 'nobody'),
      lines: fc
        .uniqueArray(fc.constantFrom(...SKUS), { minLength: 1, maxLength: 3 })
        .chain((skus) =>
          fc.tuple(
            ...skus.map((sku) =>
              fc.record({ sku: fc.constant(sku), quantity: fc.integer({ min: 1, max: 3 }) }),
            ),
          ),
        ),
      token: fc.constantFrom('fine', 'fine', 'fine', 'fine', 'fine', 'declined', 'broke', 'mute'),
      cancelAt: fc.option(fc.nat(8_000), { nil: undefined, freq: 2 }),
      shipAt: fc.option(fc.integer({ min: 5_000, max: 60_000 }), { nil: undefined, freq: 2 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});
