import { describe, expect, it } from 'vitest';
import { describeFinding, findViolation } from './support/search.ts';
import { faulty, type Plant, sound } from './support/shop-plants.ts';
import { type ShopScenario, shopScenarioOf, smallerShopScenario } from './support/shop-scenario.ts';
import { runShopSchedule } from './support/shop-world.ts';

const FIRST_SEED = 1;
const SCHEDULES = 120;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 800;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'a release of nothing that bars nobody, without the watch': 20,
  'forgotten bars without the watch': 20,
  'products that are reserved in the order of the lines': 81,
  'products that are reserved in the order of the lines, without looking at all of them first': 66,
  'an order that takes what there is though it cannot get the rest': 420,
  'a product that forgets whose goods came back': 301,
  'a refund that puts back what is gone': 83,
  'a confirmation before the capture': 86,
  'a list of open orders that nobody waits for': 57,
  'a deadline that is counted from the delivery': 30,
  'timers that are lost and never swept': 26,
  'a payment that is tried again and again on the commit that was delivered': 1_049,
  'a refund that is asked for once': 3_329,
  'a watch that believes what it knows of an order, where products forget': 8_064,
};
const TIMEOUT_MS = 120_000;
const ENDS = [
  'cancelled',
  'confirmed',
  'customer/deactivated',
  'customer/unknown',
  'inventory/insufficient-stock',
  'payment/declined',
  'payment/expired',
  'payment/no-funds',
  'refunded',
  'shipped',
];

const search = { firstSeed: FIRST_SEED, scenarioOf: shopScenarioOf };

const violationsIn = async (seed: number, scenario: ShopScenario, plant?: Plant) =>
  (await runShopSchedule(seed, scenario, plant)).violations;

describe('the order process (protocols 10 to 13), for any interleaving of steps, timeouts, cancellations, redeliveries and crashes', () => {
  it.each(Object.entries(sound))(
    'ends every order in time with stock and money as its end says, %s',
    async (_fences, plant) => {
      const run = (seed: number, scenario: ShopScenario) => violationsIn(seed, scenario, plant);
      const found = await findViolation({
        ...search,
        smaller: smallerShopScenario,
        schedules: SCHEDULES,
        run,
      });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it.each(Object.entries(faulty))(
    'is found to be broken by %s',
    async (fault, { plant, finding }) => {
      const run = async (seed: number, scenario: ShopScenario) =>
        (await violationsIn(seed, scenario, plant)).filter((violation) => finding.test(violation));
      // What is found need not be made smaller here.
      const bounds = { schedules: PLANT_SCHEDULES, known: KNOWN[fault], smaller: () => [] };
      const found = await findViolation({ ...search, ...bounds, run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );

  it(
    'reaches every kind of end in the schedules',
    async () => {
      const ends = new Set<string>();
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES && ends.size < ENDS.length; seed++) {
        for (const outcome of (await runShopSchedule(seed)).outcomes) ends.add(outcome);
      }
      expect([...ends].sort()).toEqual(ENDS);
    },
    TIMEOUT_MS,
  );

  it('is simulated the same way every time for the same seed', async () => {
    const once = await runShopSchedule(42);
    expect(once.trace.length).toBeGreaterThan(50);
    expect(await runShopSchedule(42)).toEqual(once);
  });
});
