import { describe, expect, it } from 'vitest';
import { type EngineScenario, engineScenarioOf, smallerEngineScenario } from './support/engine-scenario.ts';
import { runEngineSchedule } from './support/engine-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const SCHEDULES = Number(3000);
const TIMEOUT_MS = 120_000;

const search = { firstSeed: 1, scenarioOf: engineScenarioOf, smaller: smallerEngineScenario };

describe('consumers (protocols 7, 8 and 9)', () => {
  it(
    'handle',
    async () => {
      const run = async (seed: number, scenario: EngineScenario) =>
        (await runEngineSchedule(seed, scenario)).violations;
      const found = await findViolation({ ...search, schedules: SCHEDULES, run });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );
});
