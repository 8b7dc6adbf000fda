/** What one customer does. Times in milliseconds after the order was placed. */
export interface Plan {
  /** Named by the run and the order's number: the same again is the same order. */
  readonly key: string;
  readonly body: {
    readonly userId: string;
    readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
    readonly payment: { readonly token: string };
  };
  /** How often the same request is sent at once. */
  readonly copies: number;
  readonly cancelAfter?: number;
  readonly shipAfter?: number;
  readonly refundAfter?: number;
  /** Whether a refunded order's goods come back. */
  readonly restock: boolean;
}

/** Whom and what orders name. */
export interface Catalogue {
  readonly active: readonly string[];
  readonly deactivated: readonly string[];
  /** Products that never run out. */
  readonly plenty: readonly string[];
  /** Products of which there are a few pieces. */
  readonly scarce: readonly string[];
}

// Shares in percent of all orders; the rest pays at once.
const TOKENS: readonly (readonly [string, number])[] = [
  ['tok_declined', 5],
  ['tok_insufficient_funds', 2],
  ['tok_fail_2', 4],
  ['tok_fail_4', 2],
  ['tok_timeout', 4],
  ['tok_late', 4],
  ['tok_slow_300', 4],
  ['tok_slow_1500', 2],
  ['tok_capture_declined', 2],
  ['tok_never', 1],
  ['tok_unknown', 1],
];

/** The plan of order `n` of a run, by chance. */
export function planOf(n: number, { run, random, catalogue }: PlanDeps): Plan {
  const oneOf = (all: readonly string[]): string => all[Math.floor(random() * all.length)] ?? '';
  const chance = (percent: number): boolean => random() * 100 < percent;
  const skus = new Set(Array.from({ length: 1 + Math.floor(random() * 3) }, () => oneOf(catalogue.plenty)));
  if (chance(5)) skus.add(oneOf(catalogue.scarce));
  const userId = chance(3) ? `nobody-${n}` : oneOf(chance(3) ? catalogue.deactivated : catalogue.active);
  const lines = [...skus].map((sku) => ({ sku, quantity: 1 + Math.floor(random() * 4) }));
  return {
    key: `${run}-order-${n}`,
    body: { userId, lines, payment: { token: tokenAt(random() * 100) } },
    copies: chance(5) ? 2 : 1,
    ...(chance(10) ? { cancelAfter: random() * random() * 3_000 } : {}),
    ...(chance(6) ? { shipAfter: 500 + random() * 3_000 } : {}),
    ...(chance(6) ? { refundAfter: 500 + random() * 6_000 } : {}),
    restock: chance(60),
  };
}

export interface PlanDeps {
  /** Tells runs apart. */
  readonly run: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly catalogue: Catalogue;
}

function tokenAt(percent: number): string {
  let sum = 0;
  for (const [token, share] of TOKENS) {
    sum += share;
    if (percent < sum) return token;
  }
  return 'tok_success';
}
