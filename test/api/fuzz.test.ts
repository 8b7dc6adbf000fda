import { expect, it } from 'vitest';
import { fuzzedOperations } from './fuzzing.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20260115);
const RUNS = Number(process.env.FUZZ_RUNS ?? 200);
const TOTAL_MS = 12_000;
const MORE_ROUNDS = 20;

// For longer: `npm run fuzz -- --requests 100000`.
it('nothing a client sends is a 500, and every answer is one that the document declares', async () => {
  console.info(`fuzz: FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS} (per operation)`);
  const end = performance.now() + TOTAL_MS;
  for await (const { operationId, left, run, seen } of fuzzedOperations()) {
    await run({ seed: SEED, runs: RUNS, ms: Math.max(500, (end - performance.now()) / left) });
    const classes = () => [...new Set([...seen.keys()].map((status) => `${Math.floor(status / 100)}xx`))];
    // On a busy machine the time is over before both kinds of answers were seen; more of it is better than none.
    for (
      let more = 1;
      more <= MORE_ROUNDS && !(classes().includes('2xx') && classes().includes('4xx'));
      more++
    )
      await run({ seed: SEED + more, runs: 20 });
    const cure = 'no request was made that succeeds, or none that is refused: see test/api/known/README.md';
    expect(classes(), `${operationId}: ${cure}`).toEqual(expect.arrayContaining(['2xx', '4xx']));
  }
}, 120_000);
