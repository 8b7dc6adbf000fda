import { parseArgs } from 'node:util';
import { runKillSteps } from './run.ts';

const USAGE = `npm run kill-steps -- [--every 1] [--workers 3] [--bystanders 3]

On a real nats-server: notes every call that the order process makes on each path of an order (customer, each line's
stock, intent, authorisation, capture, confirmation, release, void, refund, rejection, timers, notifications), then
kills a worker process with SIGKILL right before and right after each of them, once each, and lets others take over.

  --every N       only every N-th of these points
  --workers N     worker processes at once
  --bystanders N  orders of each path that nobody is killed for

Exit code 0: every point was reached, every order ended as it had to, stock and money agree to the cent. 1: not so.`;

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '1' },
    workers: { type: 'string', default: '3' },
    bystanders: { type: 'string', default: '3' },
    help: { type: 'boolean', default: false },
  },
});
const { every, workers, bystanders } = {
  every: Number(values.every),
  workers: Number(values.workers),
  bystanders: Number(values.bystanders),
};
if (values.help || ![every, workers].every((n) => Number.isSafeInteger(n) && n > 0) || !(bystanders >= 0)) {
  console.log(USAGE);
  process.exit(values.help ? 0 : 2);
}

const report = await runKillSteps({ every, workers, bystanders, onProgress: (line) => console.log(line) });
const { points, tried, deaths, seconds, ...wrong } = report;
console.log(`${tried.length} of ${points} points tried, ${deaths} workers killed, ${seconds.toFixed(1)} s`);
for (const [what, lines] of Object.entries(wrong)) {
  console.log(`${what}: ${lines.length}`);
  for (const line of lines.slice(0, 20)) console.log(`  ${line}`);
}
process.exit(Object.values(wrong).every((lines) => lines.length === 0) ? 0 : 1);
