import { createPrng, type Prng } from '../../../src/testing/world.ts';
import { pick } from './email-scenario.ts';

/** What happens in one schedule. Times are milliseconds after the start. */
export interface ShopScenario {
  readonly orders: readonly PlannedOrder[];
  /** Pieces on hand, by SKU. */
  readonly stock: Readonly<Record<Sku, number>>;
  /** When the second customer is deactivated, if ever. */
  readonly deactivateAt: number | undefined;
  /** When every timer is lost, as with a log that was restored without them, if ever. */
  readonly timersLostAt: number | undefined;
}

export interface PlannedOrder {
  readonly placeAt: number;
  /** `new`: registers right before. */
  readonly userId: 'ada' | 'bob' | 'new' | 'nobody';
  readonly lines: readonly { readonly sku: Sku; readonly quantity: number }[];
  /** `broke`: authorised, but the capture is declined; `mute`: authorised, but nobody ever hears of it. */
  readonly token: 'fine' | 'declined' | 'broke' | 'mute';
  readonly cancelAt: number | undefined;
  readonly shipAt: number | undefined;
  /** When it is refunded, and whether its goods come back; refused where it is not confirmed by then. */
  readonly refundAt: number | undefined;
  readonly restock: boolean;
  /** The pause between two deliveries of everything that the order has seen, if there is more than one. */
  readonly redeliverEvery: number | undefined;
}

/** From placing an order until its payment is due, in milliseconds. */
export const DEADLINE_MS = 25_000;

export const SKUS = ['TEA', 'CUP', 'POT'] as const;
export type Sku = (typeof SKUS)[number];

const CUSTOMERS = ['ada', 'ada', 'bob', 'bob', 'bob', 'new', 'new', 'nobody'] as const;
const TOKENS = ['fine', 'fine', 'fine', 'fine', 'declined', 'broke', 'mute', 'mute'] as const;

/** The scenario of a seed: little stock, few customers and much happening at the same time. */
export function shopScenarioOf(seed: number): ShopScenario {
  const prng = createPrng(seed ^ 0x5409);
  const shuffling = createPrng(seed ^ 0x1abe);
  const refunding = createPrng(seed ^ 0x4efd);
  if (shuffling() < 0.2) return rushOf(shuffling);
  return {
    stock: { TEA: pick(prng, 7), CUP: pick(prng, 7), POT: pick(prng, 7) },
    deactivateAt: perhaps(prng, 0.5, 20_000),
    timersLostAt: perhaps(prng, 0.3, 20_000),
    orders: Array.from({ length: 1 + pick(prng, 4) }, () => ({
      ...orderOf(prng, shuffling),
      refundAt: perhaps(refunding, 0.25, 60_000),
      restock: refunding() < 0.6,
    })),
  };
}

/** Two want the last piece of everything, at once and in opposite orders; nothing else happens. */
function rushOf(prng: Prng): ShopScenario {
  const one = shuffled(
    SKUS.map((sku) => ({ sku, quantity: 1 })),
    prng,
  );
  const orders = [one, one.toReversed()].map((lines): PlannedOrder => {
    const nothingElse = { ...NEVER, redeliverEvery: undefined };
    return { placeAt: pick(prng, 50), userId: 'ada', token: 'fine', lines, ...nothingElse };
  });
  return { stock: { TEA: 1, CUP: 1, POT: 1 }, deactivateAt: undefined, timersLostAt: undefined, orders };
}

const NEVER = { cancelAt: undefined, shipAt: undefined, refundAt: undefined, restock: false };

function orderOf(prng: Prng, shuffling: Prng): Omit<PlannedOrder, 'refundAt' | 'restock'> {
  const lines = SKUS.filter(() => prng() < 0.5).map((sku) => ({ sku, quantity: 1 + pick(prng, 3) }));
  const shipAt = perhaps(prng, 0.4, 55_000);
  const redeliverEvery = perhaps(prng, 0.3, 12_000);
  return {
    placeAt: pick(prng, 5_000),
    userId: oneOf(prng, CUSTOMERS),
    lines: lines.length === 0 ? [{ sku: oneOf(prng, SKUS), quantity: 1 }] : shuffled(lines, shuffling),
    token: oneOf(prng, TOKENS),
    cancelAt: perhaps(prng, 0.4, 8_000),
    shipAt: shipAt && shipAt + 5_000,
    redeliverEvery: redeliverEvery && redeliverEvery + 8_000,
  };
}

function shuffled<T>(all: readonly T[], prng: Prng): T[] {
  return all
    .map((one) => ({ one, at: prng() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

/** A moment below a bound, in that share of cases. */
export function perhaps(prng: Prng, share: number, below: number): number | undefined {
  return prng() < share ? 1 + pick(prng, below) : undefined;
}

function oneOf<T>(prng: Prng, all: readonly [T, ...T[]]): T {
  return all[pick(prng, all.length)] ?? all[0];
}

/** The scenario made smaller in every way that leaves something out. */
export function* smallerShopScenario(scenario: ShopScenario): Generator<ShopScenario> {
  const { orders } = scenario;
  for (const key of ['deactivateAt', 'timersLostAt'] as const) {
    if (scenario[key] !== undefined) yield { ...scenario, [key]: undefined };
  }
  for (const [at, order] of orders.entries()) {
    if (orders.length > 1) yield { ...scenario, orders: orders.filter((_, other) => other !== at) };
    for (const smaller of smallerOrders(order)) {
      yield { ...scenario, orders: orders.map((other, i) => (i === at ? smaller : other)) };
    }
  }
}

function* smallerOrders(order: PlannedOrder): Generator<PlannedOrder> {
  for (const key of ['cancelAt', 'shipAt', 'refundAt', 'redeliverEvery'] as const) {
    if (order[key] !== undefined) yield { ...order, [key]: undefined };
  }
  if (order.lines.length > 1) yield { ...order, lines: order.lines.slice(1) };
}
