import { describe, expect, it } from 'vitest';
import { emptyKeyMap, type PackedKeys, unpackKeys } from '../../src/domain/key-map.ts';
import type { ProductState } from '../../src/domain/product.ts';
import { openSection, sealSection } from '../../src/eventstore/snapshots/sections.ts';
import type { SnapshotStore } from '../../src/eventstore/snapshots/stored.ts';
import { sectionsOf, smallProduct } from '../support/small-sections.ts';
import { smaller } from './support/kernel-scenario.ts';
import { describeFinding, findViolation } from './support/search.ts';
import {
  runSectionsSchedule,
  type SectionsOp,
  type SectionsPlant,
  type SectionsScenario,
  scenarioOf,
} from './support/sections-world.ts';

const [SCHEDULES, PLANT_SCHEDULES] = [100, 300];
const TIMEOUT_MS = 120_000;
const search = { firstSeed: 1, scenarioOf, smaller: smaller<SectionsOp> };
const sections = sectionsOf(smallProduct);

/** With other sections of its open reservations. */
function withOpen(
  state: ProductState,
  change: (all: readonly (typeof emptyKeyMap | null)[]) => readonly (typeof emptyKeyMap | null)[],
): ProductState {
  if (state.status === 'absent') return state;
  const { open } = state.reservations;
  const changed = { ...open, sections: change(open.sections as never) };
  return { ...state, reservations: { ...state.reservations, open: changed } };
}

/** A section as it was when it was taken, whatever has happened since. */
const asTaken = (state: ProductState, index: number, taken: unknown): ProductState =>
  withOpen(state, (all) => all.with(index, unpackKeys(taken as PackedKeys<never>)));

/** What is away is nothing. */
const asAbsent = (state: ProductState): ProductState =>
  withOpen(state, (all) => all.map((section) => section ?? emptyKeyMap));

/** The section of a version at which nothing was reserved yet, under the stamp of a later one. */
const restamping = (store: SnapshotStore): SnapshotStore => ({
  ...store,
  put: async (key, value) => {
    const index = Number(key.split('.')[3] ?? -1);
    const section = openSection('memory-1', index, value);
    const early = section && { ...section, content: { keys: [], values: [] } };
    return store.put(key, early === undefined ? value : sealSection('memory-1', index, early));
  },
});

const plants: Readonly<Record<string, SectionsPlant>> = {
  'a section of any age that is taken for a fitting one': {
    decider: {
      ...smallProduct,
      sections: { ...sections, generationOf: (state) => Math.min(1, sections.generationOf(state)) },
    },
  },
  'a section that is not brought up to date': {
    decider: { ...smallProduct, sections: { ...sections, put: asTaken } },
  },
  'a section that is away and taken for empty': {
    decider: {
      ...smallProduct,
      sections: { ...sections, missing: () => undefined },
      decide: (command, state) => smallProduct.decide(command, asAbsent(state)),
    },
  },
  'a section that is away and nobody asks for': {
    decider: { ...smallProduct, sections: { ...sections, missing: () => undefined } },
  },
  'a section of another version under a newer stamp': { store: restamping },
};

describe('a state in sections (protocol 10), with processes that crash and a store that loses and confuses', () => {
  const violationsIn = async (seed: number, scenario: SectionsScenario, plant?: SectionsPlant) =>
    (await runSectionsSchedule(seed, scenario, plant)).violations;

  it(
    'reserves for each order at most once, never after its release, and tells nothing that was not true',
    async () => {
      const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
      expect(found && describeFinding(found)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  it('meets sections in the store, and lost and old ones', async () => {
    const seen = { read: 0, spoilt: 0 };
    for (let seed = 1; seed <= 30; seed++) {
      const { read, spoilt } = await runSectionsSchedule(seed);
      seen.read += read;
      seen.spoilt += spoilt;
    }
    expect(seen.read).toBeGreaterThan(200);
    expect(seen.spoilt).toBeGreaterThan(20);
  });

  it.each(Object.entries(plants))(
    'is found to be broken by %s',
    async (_, plant) => {
      const run = (seed: number, scenario: SectionsScenario) => violationsIn(seed, scenario, plant);
      // What is found need not be made smaller here.
      const bounds = { schedules: PLANT_SCHEDULES, smaller: () => [] };
      expect(await findViolation({ ...search, ...bounds, run })).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
