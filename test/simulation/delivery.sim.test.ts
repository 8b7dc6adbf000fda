import { describe, expect, it } from 'vitest';
import { type DeliveryPlant, deliveryPlants } from './support/delivery-plants.ts';
import {
  type DeliveryScenario,
  deliveryScenarioOf,
  runDeliverySchedule,
  smallerDeliveryScenario,
} from './support/delivery-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const SCHEDULES = 60;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 500;
const TIMEOUT_MS = 120_000;

const search = { firstSeed: 1, scenarioOf: deliveryScenarioOf, smaller: smallerDeliveryScenario };

const violationsIn = async (seed: number, scenario: DeliveryScenario, plant?: DeliveryPlant) =>
  (await runDeliverySchedule(seed, scenario, plant)).violations;

describe('delivery (protocol 34)', () => {
  it(
    'hands every receiver all that it wants, in order where that is asked for, from one instance at a time, however instances die, hang and are cut off',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it(
    'does so wherever a process is killed, before and after each of its calls',
    async () => {
      const events = ['a', 'b', 'a', 'c', 'a', 'b'].map((subject, at) => ({
        ...{ subject, poison: at === 1, pauseMs: 300 },
      }));
      const scenario = { events, hangs: [], outages: [], away: [] };
      let at = 0;
      for (let killed = true; killed; ) {
        const run = await runDeliverySchedule(1, scenario, {}, ++at);
        expect(run.violations, `killed at ${at}`).toEqual([]);
        ({ killed } = run);
      }
      expect(at).toBeGreaterThan(100);
    },
    TIMEOUT_MS,
  );

  it.each(Object.entries(deliveryPlants))(
    'is found to be broken by %s',
    async (_fault, plant) => {
      const run = (seed: number, scenario: DeliveryScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const found = await findViolation({ ...search, schedules: PLANT_SCHEDULES, smaller: () => [], run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
