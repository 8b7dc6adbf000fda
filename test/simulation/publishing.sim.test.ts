import { describe, expect, it } from 'vitest';
import {
  type PublishingPlant,
  type PublishingScenario,
  publishingPlants,
  publishingScenarioOf,
  runPublishingSchedule,
  smallerPublishingScenario,
} from './support/publishing-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const SCHEDULES = 60;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 1_500;
const TIMEOUT_MS = 120_000;

const search = { firstSeed: 1, scenarioOf: publishingScenarioOf, smaller: smallerPublishingScenario };

const violationsIn = async (seed: number, scenario: PublishingScenario, plant?: PublishingPlant) =>
  (await runPublishingSchedule(seed, scenario, plant)).violations;

describe('publishing (protocol 33)', () => {
  it(
    'tells each public event once, in order for each aggregate and numbered without gaps, however instances die, hang and come back, and whatever expires',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it.each(Object.entries(publishingPlants))(
    'is found to be broken by %s',
    async (_fault, plant) => {
      const run = (seed: number, scenario: PublishingScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const found = await findViolation({ ...search, schedules: PLANT_SCHEDULES, smaller: () => [], run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
