import { createPrng } from '../../../src/testing/world.ts';
import { pick } from './email-scenario.ts';
import { type PlannedOrder, perhaps } from './shop-scenario.ts';

/** What happens in one schedule. Times are milliseconds after the registration, those of an order after it was placed. */
export interface ForgettingScenario {
  /** From the request until it is due. */
  readonly graceMs: number;
  readonly orders: readonly Pick<PlannedOrder, 'placeAt' | 'token' | 'shipAt' | 'refundAt' | 'restock'>[];
  /** When the address is changed. */
  readonly changeAt: number | undefined;
  readonly askAt: number;
  /** How long after the request it is called off, and how long after that it is asked for again. */
  readonly callOffAfter: number | undefined;
  readonly askAgainAfter: number | undefined;
  /** When the views are rebuilt. */
  readonly rebuildAt: number | undefined;
  /** When somebody who may write the row asks for the key of one who was never to be forgotten. */
  readonly misleadAt: number | undefined;
}

/** The scenario of a seed: all of it close together. */
export function forgettingScenarioOf(seed: number): ForgettingScenario {
  const prng = createPrng(seed ^ 0x37);
  const askAt = pick(prng, 20_000);
  return {
    graceMs: prng() < 0.4 ? 8_000 : 0,
    orders: Array.from({ length: 2 }, () => {
      const placeAt = pick(prng, 20_000);
      // Before the request, or after it while nobody is forgotten yet.
      const refundAt = Math.max(1, askAt - placeAt - 3_000 + pick(prng, 8_000));
      return {
        placeAt,
        token: prng() < 0.7 ? 'fine' : 'mute',
        shipAt: perhaps(prng, 0.6, 6_000),
        refundAt: prng() < 0.8 ? refundAt : undefined,
        restock: prng() < 0.6,
      };
    }),
    changeAt: perhaps(prng, 0.9, 20_000),
    askAt,
    callOffAfter: perhaps(prng, 0.5, 10_000),
    askAgainAfter: perhaps(prng, 0.6, 5_000),
    rebuildAt: perhaps(prng, 0.7, 60_000),
    misleadAt: perhaps(prng, 0.9, 60_000),
  };
}

/** The scenario made smaller in every way that leaves something out. */
export function* smallerForgettingScenario(scenario: ForgettingScenario): Generator<ForgettingScenario> {
  for (const at of scenario.orders.keys())
    yield { ...scenario, orders: scenario.orders.filter((_, other) => other !== at) };
  for (const key of ['changeAt', 'callOffAfter', 'askAgainAfter', 'rebuildAt', 'misleadAt'] as const)
    if (scenario[key] !== undefined) yield { ...scenario, [key]: undefined };
}
