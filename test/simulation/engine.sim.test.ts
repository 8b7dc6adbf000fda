import { describe, expect, it } from 'vitest';
import { enginePlants } from './support/engine-plants.ts';
import { type EngineScenario, engineScenarioOf, smallerEngineScenario } from './support/engine-scenario.ts';
import { type EnginePlant, runEngineSchedule } from './support/engine-world.ts';
import { describeFinding, findViolation } from './support/search.ts';
import { sharing, sharingPlants } from './support/shared-reading.ts';

const FIRST_SEED = 1;
const SCHEDULES = 200;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 1_500;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'a cursor that a zombie may write': 70,
  'a park that a zombie may write': 125,
};
const TIMEOUT_MS = 120_000;

const search = { firstSeed: FIRST_SEED, scenarioOf: engineScenarioOf, smaller: smallerEngineScenario };

const violationsIn = async (seed: number, scenario: EngineScenario, plant?: EnginePlant) =>
  (await runEngineSchedule(seed, scenario, plant)).violations;

describe('consumers (protocols 7, 8 and 9)', () => {
  it(
    'handle each aggregate in order, once or parked, however workers die, hang and come back',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it(
    'do the same where they read the end of the log together (protocol 38)',
    async () => {
      const run = (seed: number, scenario: EngineScenario) => violationsIn(seed, scenario, sharing());
      const found = await findViolation({ ...search, schedules: SCHEDULES, run });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it('are simulated the same way every time for the same seed', async () => {
    const once = await runEngineSchedule(42);
    const again = await runEngineSchedule(42);
    expect(once.trace.length).toBeGreaterThan(50);
    expect(again).toEqual(once);
  });

  it.each(Object.entries({ ...enginePlants, ...sharingPlants }))(
    'are found to be broken by %s',
    async (fault, plant) => {
      const run = (seed: number, scenario: EngineScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const bounds = { schedules: PLANT_SCHEDULES, known: KNOWN[fault], smaller: () => [] };
      const found = await findViolation({ ...search, ...bounds, run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
