import { runKernelSchedule } from '/work/main/test/simulation/support/kernel-world.ts';

const n = Number(process.argv[2] ?? 2000);
const t = Date.now();
let bad = 0,
  seeds = 0;
const tally: Record<string, number> = {};
let multi = 0,
  steps = 0;
for (let seed = 1; seed <= n; seed++) {
  const r = await runKernelSchedule(seed);
  seeds++;
  steps += r.trace.length;
  multi += r.commits.filter((c) => c > 1).length;
  for (const a of r.attempts) {
    const k =
      'answer' in a.end
        ? a.end.answer.outcome + (a.end.answer.repeated ? ' repeated' : '')
        : 'failed' in a.end
          ? a.end.failed
          : 'lost';
    tally[k] = (tally[k] ?? 0) + 1;
  }
  if (r.violations.length) {
    console.log(seed, r.violations);
    if (seed > 0 && ++bad > 5) break;
  }
}

console.log(tally, { multi, steps }, seeds / ((Date.now() - t) / 1000), 'schedules/s');
