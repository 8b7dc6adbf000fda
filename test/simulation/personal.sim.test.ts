import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import type { KeyState, PersonKeys } from '../../src/eventstore/personal/keys.ts';
import type { Runtime } from '../../src/eventstore/runtime.ts';
import { type Plant, runPersonalSchedule } from './support/personal-world.ts';

const SCHEDULES = 150;
const PLANT_SCHEDULES = 4_000;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'a key that is destroyed before the ledger has it': 22,
  'an end that does not wait for the leases': 188,
};
const TIMEOUT_MS = 120_000;

async function firstFound(schedules: number, plant?: Plant, first = 1): Promise<string | undefined> {
  for (let seed = first; seed < first + schedules; seed++) {
    const found = await runPersonalSchedule(seed, plant);
    if (found.length > 0) return `seed ${seed}: ${found.join('; ')}`;
  }
  return undefined;
}

/** A key is used before anybody has said that it is stored. */
const unacknowledged = (keys: PersonKeys, runtime: Runtime): PersonKeys => ({
  keysOf: async (persons, how) => {
    try {
      return await keys.keysOf(persons, how);
    } catch (error) {
      if (how === 'read') throw error;
      const made = { number: 1, key: new Uint8Array(randomBytes(32)), until: runtime.now() + 2_000 };
      return new Map(persons.map((person) => [person, made]));
    }
  },
});

/** What cannot be reached is taken for gone. */
const impatient = (keys: PersonKeys): PersonKeys => ({
  keysOf: async (persons, how) => {
    try {
      return await keys.keysOf(persons, how);
    } catch (error) {
      if (how === 'make') throw error;
      return new Map(persons.map((person) => [person, 'forgotten' as const]));
    }
  },
});

/** A key that was known once is used for ever. */
const endless = (keys: PersonKeys): PersonKeys => {
  const known = new Map<string, KeyState>();
  return {
    keysOf: async (persons, how) => {
      const asked = persons.filter((person) => !known.has(person));
      for (const [person, state] of await keys.keysOf(asked, how))
        if (typeof state === 'object') known.set(person, { ...state, until: Number.POSITIVE_INFINITY });
        else if (state === 'forgotten') known.set(person, state);
      return new Map(persons.map((person) => [person, known.get(person) ?? 'none']));
    },
  };
};

type Destroying = NonNullable<Plant['forgetting']>;

/** The key is destroyed while the entry in the ledger is still on its way. */
const entersLater: Destroying = (options) => {
  const { ledger, runtime } = options;
  const write: typeof ledger.write = async (row) => {
    void runtime
      .sleep(5_000)
      .then(() => ledger.write(row))
      .catch(() => undefined);
    return { written: true, revision: 1 };
  };
  return { ...options, ledger: { ...ledger, write } };
};

/** Nobody looks for what a crash has left. */
const endsNothing: Destroying = (options) => ({
  ...options,
  ledger: { ...options.ledger, rows: async function* () {} },
});

/** The tombstone is thought to have overwritten the key. */
const erasesNothing: Destroying = (options) => ({
  ...options,
  keys: { ...options.keys, eraseBefore: async () => undefined },
});

/** Says that it is done while others still have the key. */
const hasty: Destroying = (options) => ({
  ...options,
  runtime: { ...options.runtime, sleep: async () => undefined },
});

it(
  'nothing personal is stored in plain or without its key, and only who was forgotten is shown so, whatever becomes of the keys; of who was forgotten nothing is left (protocols 30 and 36)',
  async () => {
    expect(await firstFound(SCHEDULES)).toBeUndefined();
  },
  TIMEOUT_MS,
);

it.each([
  ['an append whose key is not acknowledged', { keys: unacknowledged }, /nobody has/],
  ['what is unreachable and taken for forgotten', { keys: impatient }, /shown as forgotten/],
  ['a lease that never ends', { keys: endless }, /after it was forgotten/],
  [
    'a key that is destroyed before the ledger has it',
    { forgetting: entersLater },
    /no entry in the ledger|shown as forgotten/,
  ],
  ['a crash that nobody looks for', { forgetting: endsNothing }, /still has a key|bytes of the key/],
  ['a key that is only replaced', { forgetting: erasesNothing }, /bytes of the key/],
  ['an end that does not wait for the leases', { forgetting: hasty }, /after it was forgotten/],
] as const)(
  'is found to be broken by %s',
  async (fault, plant, finding) => {
    expect(await firstFound(PLANT_SCHEDULES, plant, KNOWN[fault])).toMatch(finding);
  },
  TIMEOUT_MS,
);
