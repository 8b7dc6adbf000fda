import { describe, expect, it } from 'vitest';
import { plants } from './support/kernel-plants.ts';
import { type KernelOp, type KernelScenario, scenarioOf, smaller } from './support/kernel-scenario.ts';
import { type KernelPlant, runKernelSchedule } from './support/kernel-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const FIRST_SEED = 1;
const SCHEDULES = 700;
/** Within how many schedules each planted fault must be found. */
const PLANT_SCHEDULES = 2_000;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'nothing on the tail taken for "not stored" (2)': 4_089,
  'one conflict that mixes the outcomes of a batch (16)': 560,
  'a batch without an answer that is judged by its first commit (16)': 272,
};
const TIMEOUT_MS = 120_000;

const search = { firstSeed: FIRST_SEED, scenarioOf, smaller: smaller<KernelOp> };

const violationsIn = async (seed: number, scenario: KernelScenario, plant?: KernelPlant) =>
  (await runKernelSchedule(seed, scenario, plant)).violations;

describe('the kernel (protocols 1, 2, 3 and 17) on a bad network, with processes that crash', () => {
  it(
    'stores every acknowledged command once where it was told, and tells nothing that was not true',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it('is simulated the same way every time for the same seed', async () => {
    const once = await runKernelSchedule(42);
    const again = await runKernelSchedule(42);
    expect(once.trace.length).toBeGreaterThan(30);
    expect(again).toEqual(once);
  });

  it('meets every outcome, every fault and commits of several decisions in the schedules', async () => {
    const outcomes = new Set<string>();
    let shared = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + 300; seed++) {
      const { attempts, commits } = await runKernelSchedule(seed);
      shared += commits.filter((decisions) => decisions > 1).length;
      for (const { end } of attempts) {
        outcomes.add('answer' in end ? end.answer.outcome : 'failed' in end ? end.failed : 'lost');
      }
    }
    expect(outcomes).toEqual(
      new Set([
        'accepted',
        'unchanged',
        'rejected',
        'conflict',
        'key-reused',
        'lost',
        'log/unavailable',
        'log/outcome-unknown',
        'command/deadline',
        'command/queue-full',
      ]),
    );
    expect(shared).toBeGreaterThan(10);
  });

  it(
    'reads on a cluster that falls apart tell nothing that was not true, confirmed by a majority (protocol 19)',
    async () => {
      const run = (seed: number, scenario: KernelScenario) =>
        violationsIn(seed, scenario, { cluster: 'quorum' });
      const found = await findViolation({ ...search, schedules: SCHEDULES, run });
      expect(found && describeFinding(found)).toBeUndefined();
      let [reads, fences] = [0, 0];
      for (let seed = FIRST_SEED; seed < FIRST_SEED + 100; seed++) {
        const schedule = await runKernelSchedule(seed, scenarioOf(seed), { cluster: 'quorum' });
        reads += schedule.reads.length;
        fences += schedule.commits.filter((decisions) => decisions === 0).length;
      }
      expect(reads).toBeGreaterThan(500);
      expect(fences).toBeGreaterThan(100);
    },
    TIMEOUT_MS,
  );

  it.each(Object.entries(plants))(
    'is found to be broken by %s',
    async (fault, plant) => {
      const run = (seed: number, scenario: KernelScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const bounds = { schedules: PLANT_SCHEDULES, known: KNOWN[fault], smaller: () => [] };
      const found = await findViolation({ ...search, ...bounds, run });
      expect(found).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
