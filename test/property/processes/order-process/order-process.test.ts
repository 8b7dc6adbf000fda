import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { faulty, sound } from './shop-plants.ts';
import { type ShopScenario, shopScenarios } from './shop-scenario.ts';
import { runShop } from './shop-world.ts';

const RUNS = 120;
/** Within how many scenarios each planted fault must be found. */
const PLANT_RUNS = 600;
const SEED = 4;
const TIMEOUT_MS = 120_000;

describe('the order process, for any interleaving of steps, timeouts, cancellations, redeliveries and crashes', () => {
  test.each(Object.entries(sound))(
    'ends every order with stock and money as its end says, %s',
    async (_fences, plant) => {
      const property = fc.asyncProperty(shopScenarios, async (scenario) => {
        expect((await runShop(scenario, plant)).violations).toEqual([]);
      });
      await fc.assert(property, { numRuns: RUNS, seed: SEED });
    },
    TIMEOUT_MS,
  );

  test.each(Object.entries(faulty))(
    'would be found to be broken by %s',
    async (_fault, { plant, finding }) => {
      const property = fc.asyncProperty(shopScenarios, async (scenario) => {
        const { violations } = await runShop(scenario, plant);
        return !violations.some((violation) => finding.test(violation));
      });
      const { failed } = await fc.check(property, { numRuns: PLANT_RUNS, seed: SEED, endOnFailure: true });
      expect(failed).toBe(true);
    },
    TIMEOUT_MS,
  );

  test(
    'reaches every kind of end',
    async () => {
      const ends = new Set<string>();
      for (const scenario of fc.sample(shopScenarios, { numRuns: 150, seed: SEED })) {
        for (const outcome of (await runShop(scenario)).outcomes) ends.add(outcome);
      }
      expect([...ends].sort()).toEqual([
        'cancelled',
        'confirmed',
        'customer/deactivated',
        'customer/unknown',
        'inventory/insufficient-stock',
        'payment/declined',
        'payment/expired',
        'payment/no-funds',
        'shipped',
      ]);
    },
    TIMEOUT_MS,
  );

  test('is simulated the same way every time for the same scenario', async () => {
    const [scenario] = fc.sample(shopScenarios, { numRuns: 1, seed: SEED }) as [ShopScenario];
    const once = await runShop(scenario);
    expect(once.trace.length).toBeGreaterThan(50);
    expect(await runShop(scenario)).toEqual(once);
  });
});
