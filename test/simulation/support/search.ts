/** A schedule that violated something. */
export interface Finding<Scenario> {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly violations: readonly string[];
}

/** What is searched: schedules that are a function of a seed and a scenario. */
export interface Search<Scenario> {
  readonly firstSeed: number;
  readonly schedules: number;
  /** A seed that is known to find something; tried before the others, which still are when it finds nothing. */
  readonly known?: number | undefined;
  readonly scenarioOf: (seed: number) => Scenario;
  /** Runs one schedule; returns what it violated. */
  readonly run: (seed: number, scenario: Scenario) => Promise<readonly string[]>;
  /** The scenario with something left out, in every way. */
  readonly smaller: (scenario: Scenario) => Iterable<Scenario>;
}

/** The first schedule that violates something, with its scenario made as small as it still does; else undefined. */
export async function findViolation<Scenario>(
  search: Search<Scenario>,
): Promise<Finding<Scenario> | undefined> {
  const { scenarioOf, run } = search;
  for (const seed of seedsOf(search)) {
    const scenario = scenarioOf(seed);
    const violations = await run(seed, scenario);
    if (violations.length > 0) return shrink(search, { seed, scenario, violations });
  }
  return undefined;
}

function* seedsOf({
  firstSeed,
  schedules,
  known,
}: Omit<Search<never>, 'scenarioOf' | 'run' | 'smaller'>): Iterable<number> {
  if (known !== undefined) yield known;
  for (let seed = firstSeed; seed < firstSeed + schedules; seed++) yield seed;
}

async function shrink<Scenario>(
  search: Search<Scenario>,
  found: Finding<Scenario>,
): Promise<Finding<Scenario>> {
  for (const scenario of search.smaller(found.scenario)) {
    const violations = await search.run(found.seed, scenario);
    if (violations.length > 0) return shrink(search, { seed: found.seed, scenario, violations });
  }
  return found;
}

/** A finding as text for the person who has to replay it. */
export function describeFinding<Scenario>({ seed, scenario, violations }: Finding<Scenario>): string {
  return `seed ${seed}, scenario ${JSON.stringify(scenario)}: ${violations.join('; ')}`;
}
