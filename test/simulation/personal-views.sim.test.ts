import { expect, it } from 'vitest';
import type { PersonKeys } from '../../src/eventstore/personal/keys.ts';
import { opening, runPersonalViews, type ViewsPlant } from './support/personal-views-world.ts';

const SCHEDULES = 20;
const PLANT_SCHEDULES = 400;
const TIMEOUT_MS = 120_000;

async function firstFound(schedules: number, plant?: ViewsPlant): Promise<string | undefined> {
  for (let seed = 1; seed <= schedules; seed++) {
    const found = await runPersonalViews(seed, plant);
    if (found.length > 0) return `seed ${seed}: ${found.join('; ')}`;
  }
  return undefined;
}

/** A key that was made anew is taken for the one that was lost. */
const alike = (keys: PersonKeys): PersonKeys => ({
  keysOf: async (persons, how) => {
    const states = await keys.keysOf(persons, how);
    return new Map(
      [...states].map(([person, state]) => [
        person,
        typeof state === 'object' ? { ...state, number: 1 } : state,
      ]),
    );
  },
});

it(
  'a view that dies, is taken over and is rebuilt holds what the log says, sealed, whatever becomes of the keys; lists show a name, or say that it is unreadable (protocol 30)',
  async () => {
    expect(await firstFound(SCHEDULES)).toBeUndefined();
  },
  TIMEOUT_MS,
);

it.each([
  ['rows that are opened on their way to the bucket', { buckets: opening }, /not what the log says/],
  ['a key made anew that is taken for the one that was lost', { keys: alike }, /moved or changed/],
] as const)(
  'is found to be broken by %s',
  async (_fault, plant, finding) => {
    expect(await firstFound(PLANT_SCHEDULES, plant)).toMatch(finding);
  },
  TIMEOUT_MS,
);
