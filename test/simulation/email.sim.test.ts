import { describe, expect, it } from 'vitest';
import { plants } from './support/email-plants.ts';
import { type EmailScenario, scenarioOf, smaller } from './support/email-scenario.ts';
import { type Plant, runEmailSchedule } from './support/email-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const FIRST_SEED = 1;
const SCHEDULES = 900;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 4_000;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'a completion that does not ask whether the attempt is pending': 1_685,
  'an abandoned registration that can still be completed': 248,
  'a takeover that releases without abandoning the registration': 170,
  'a takeover that releases without abandoning the change': 798,
};
const TIMEOUT_MS = 120_000;

const search = { firstSeed: FIRST_SEED, scenarioOf, smaller };

const violationsIn = async (seed: number, scenario: EmailScenario, plant?: Plant) =>
  (await runEmailSchedule(seed, scenario, plant)).violations;

describe('unique e-mail addresses (protocols 4 and 5)', () => {
  it(
    'have one owner, claimed by its attempt, at every moment of every schedule, and are free again afterwards',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it('are simulated the same way every time for the same seed', async () => {
    const once = await runEmailSchedule(42);
    const again = await runEmailSchedule(42);
    expect(once.trace.length).toBeGreaterThan(50);
    expect(again).toEqual(once);
  });

  it.each(Object.entries(plants))(
    'are found to be broken by %s',
    async (fault, plant) => {
      const run = (seed: number, scenario: EmailScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const bounds = { schedules: PLANT_SCHEDULES, known: KNOWN[fault], smaller: () => [] };
      const found = await findViolation({ ...search, ...bounds, run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
