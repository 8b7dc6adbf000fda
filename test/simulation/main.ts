// Simulates as many schedules as asked, each a function of its seed:
//   npm run simulate -- --schedules 100000 [--seed 1] [--scenario kernel|cluster|sections|email|engine|publishing|delivery|order|forgetting]
// A violation is printed with its seed and its scenario made small, and the exit code is 1.
//   npm run simulate -- --seed 349 --schedules 1 --scenario kernel --trace
// replays one schedule and prints every step of it.
import { toolOptions } from '../support/tool-options.ts';
import type { KernelScenario } from './support/kernel-scenario.ts';
import { describeFinding, type Finding, findViolation } from './support/search.ts';

/** How many schedules run before the event loop turns, so that Ctrl-C and the progress line get their turn. */
const BATCH = 500;

/** A kind of schedule, its scenario's type forgotten. */
interface Simulation {
  /** The first violation in a range of seeds as text, its scenario made small. */
  search(firstSeed: number, schedules: number): Promise<{ seed: number; text: string } | undefined>;
  trace(seed: number): Promise<readonly string[]>;
}

interface Outcome {
  readonly violations: readonly string[];
  readonly trace: readonly string[];
}

function simulation<Scenario>(
  world: (seed: number, scenario?: Scenario) => Promise<Outcome>,
  scenarios: { scenarioOf(seed: number): Scenario; smaller(scenario: Scenario): Iterable<Scenario> },
): Simulation {
  const run = async (seed: number, scenario: Scenario) => (await world(seed, scenario)).violations;
  const { scenarioOf, smaller } = scenarios;
  const textOf = (found: Finding<Scenario>) => ({ seed: found.seed, text: describeFinding(found) });
  return {
    search: async (firstSeed, schedules) => {
      const found = await findViolation({ firstSeed, schedules, scenarioOf, smaller, run });
      return found && textOf(found);
    },
    trace: async (seed) => (await world(seed)).trace,
  };
}

/** Loaded when it is asked for. */
const simulations: Readonly<Record<string, () => Promise<Simulation>>> = {
  kernel: async () => {
    const { runKernelSchedule } = await import('./support/kernel-world.ts');
    return simulation(runKernelSchedule, await import('./support/kernel-scenario.ts'));
  },
  // Servers are cut off now and then, and a majority confirms reads (protocol 19).
  cluster: async () => {
    const { runKernelSchedule } = await import('./support/kernel-world.ts');
    const scenarios = await import('./support/kernel-scenario.ts');
    return simulation<KernelScenario>(
      (seed, scenario = scenarios.scenarioOf(seed)) =>
        runKernelSchedule(seed, scenario, { cluster: 'quorum' }),
      scenarios,
    );
  },
  sections: async () => {
    const { runSectionsSchedule, scenarioOf } = await import('./support/sections-world.ts');
    const { smaller } = await import('./support/kernel-scenario.ts');
    return simulation(runSectionsSchedule, { scenarioOf, smaller });
  },
  email: async () => {
    const { runEmailSchedule } = await import('./support/email-world.ts');
    return simulation(runEmailSchedule, await import('./support/email-scenario.ts'));
  },
  engine: async () => {
    const { runEngineSchedule } = await import('./support/engine-world.ts');
    const scenarios = await import('./support/engine-scenario.ts');
    const { engineScenarioOf: scenarioOf, smallerEngineScenario: smaller } = scenarios;
    return simulation(runEngineSchedule, { scenarioOf, smaller });
  },
  publishing: async () => {
    const world = await import('./support/publishing-world.ts');
    const { publishingScenarioOf: scenarioOf, smallerPublishingScenario: smaller } = world;
    return simulation(world.runPublishingSchedule, { scenarioOf, smaller });
  },
  delivery: async () => {
    const world = await import('./support/delivery-world.ts');
    const { deliveryScenarioOf: scenarioOf, smallerDeliveryScenario: smaller } = world;
    return simulation(world.runDeliverySchedule, { scenarioOf, smaller });
  },
  order: async () => {
    const { runShopSchedule } = await import('./support/shop-world.ts');
    const { shopScenarioOf, smallerShopScenario } = await import('./support/shop-scenario.ts');
    return simulation(runShopSchedule, { scenarioOf: shopScenarioOf, smaller: smallerShopScenario });
  },
  forgetting: async () => {
    const { runForgettingSchedule } = await import('./support/forgetting-world.ts');
    const scenarios = await import('./support/forgetting-scenario.ts');
    const { forgettingScenarioOf: scenarioOf, smallerForgettingScenario: smaller } = scenarios;
    return simulation(runForgettingSchedule, { scenarioOf, smaller });
  },
};

/** @throws RangeError for a name that nobody knows */
function load(name: string): Promise<Simulation> {
  const known = simulations[name];
  if (known === undefined) {
    throw new RangeError(`There is no scenario ${name}; there are ${Object.keys(simulations).join(', ')}.`);
  }
  return known();
}

/** Runs one kind of schedule; returns whether nothing was violated. */
async function simulate(name: string, firstSeed: number, schedules: number): Promise<boolean> {
  const simulated = await load(name);
  const startedAt = performance.now();
  for (let done = 0; done < schedules; done += BATCH) {
    const found = await simulated.search(firstSeed + done, Math.min(BATCH, schedules - done));
    if (found !== undefined) {
      console.error(`${name}: ${found.text}`);
      console.error(
        `Replay: npm run simulate -- --scenario ${name} --seed ${found.seed} --schedules 1 --trace`,
      );
      return false;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const rate = Math.round(schedules / seconds);
  console.log(`${name}: ${schedules} schedules from seed ${firstSeed}, no violation; ${rate} schedules/s`);
  return true;
}

/** A whole number of the command line. @throws RangeError */
function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`--${name} takes a whole number, not ${text}`);
  return value;
}

const USAGE = `npm run simulate -- [--scenario NAME] [--schedules N] [--seed N] [--trace]

  --scenario NAME  one of ${Object.keys(simulations).join(', ')}; all of them unless given
  --schedules N    how many schedules are run; 10000 unless given
  --seed N         of the first schedule; 1 unless given
  --trace          prints what happened in the first schedule`;
const values = toolOptions(USAGE, {
  schedules: { type: 'string', default: '10000' },
  seed: { type: 'string', default: '1' },
  scenario: { type: 'string' },
  trace: { type: 'boolean', default: false },
});

try {
  const names = values.scenario === undefined ? Object.keys(simulations) : [values.scenario];
  const [seed, schedules] = [whole('seed', values.seed), whole('schedules', values.schedules)];
  for (const name of names) {
    if (!(await simulate(name, seed, schedules))) process.exitCode = 1;
    if (values.trace) console.log((await (await load(name)).trace(seed)).join('\n'));
  }
} catch (error) {
  console.error(error instanceof RangeError ? error.message : error);
  process.exitCode = 1;
}
