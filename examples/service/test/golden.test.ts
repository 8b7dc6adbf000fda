import { fileURLToPath } from 'node:url';
import { goldenProblems, keepGolden } from 'jetledger/testing';
import { expect, it } from 'vitest';
import { aggregates } from '../src/service.ts';

const folder = fileURLToPath(new URL('golden', import.meta.url));

// What was ever stored has to be read for ever. `make golden` keeps the bytes of new events.
it('every event that was ever stored decodes to what it meant', () => {
  if (process.env.GOLDEN === 'write') keepGolden(aggregates, folder);
  expect(goldenProblems(aggregates, folder)).toEqual([]);
});
