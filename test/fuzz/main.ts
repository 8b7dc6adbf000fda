import { fuzzedOperations, INTERNAL } from '../api/fuzzing.ts';
import { toolOptions } from '../support/tool-options.ts';

// The fuzzer of the suite for longer: rounds of made-up requests to every operation, each round on a new service.
const USAGE = 'npm run fuzz -- [--requests 100000] [--seed N]';
const RUNS = 200;
const SHOWN = 1_500;

const given = toolOptions(USAGE, {
  requests: { type: 'string', default: '100000' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
});
const [requests, seed] = [Number(given.requests), Number(given.seed)];
if (!Number.isSafeInteger(requests) || requests < 1 || !Number.isSafeInteger(seed)) {
  console.error(USAGE);
  process.exit(2);
}
console.log(`fuzz: ${requests} requests, --seed ${seed}`);

const byStatus = new Map<number, number>();
const wrong = new Map<string, string>();
let sent = 0;
for (let round = 0; sent < requests; round++) {
  for await (const { operationId, run, seen } of fuzzedOperations()) {
    if (sent >= requests) break;
    try {
      await run({ seed: seed + round, runs: Math.min(RUNS, requests - sent) });
    } catch (error) {
      wrong.set(`${operationId}, --seed ${seed + round}`, reasonOf(error));
    }
    for (const [status, count] of seen) {
      byStatus.set(status, (byStatus.get(status) ?? 0) + count);
      sent += count;
    }
  }
  console.log(`${sent} requests`);
}
for (const [where, what] of wrong) console.log(`${where}: ${what}`);
const statuses = [...byStatus].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
console.log(`answers by status: ${statuses.join(', ')}`);
const reasons = [...wrong.values()];
const fiveHundreds = reasons.filter((reason) => reason.startsWith(INTERNAL)).length;
console.log(
  `${sent} requests, ${reasons.length - fiveHundreds} undeclared answers, ${fiveHundreds} five hundreds`,
);
process.exitCode = reasons.length === 0 ? 0 : 1;

/** What was wrong with the smallest request, which fast-check hands on as the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, SHOWN);
}
