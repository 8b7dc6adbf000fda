import { parseArgs } from 'node:util';
import { runOutage } from './run.ts';

/**
 * npm run outage -- [--seconds 30] [--callers 6]: the NATS server of a service under load is killed and comes back.
 * Exit code 1 when a request was not answered as it should be, or an acknowledged order was lost.
 */
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, callers: { type: 'string', default: '6' } },
});
/** The bound is 2 s; the machine that runs this may be busy. */
const ANSWER_WITHIN_MS = 4_000;

const report = await runOutage({ awayMs: Number(values.seconds) * 1_000, callers: Number(values.callers) });
console.log(JSON.stringify(report, null, 2));
const { odd, lost, unfinished, slowestRefusalMs, refused } = report;
if (refused === 0 || odd > 0 || lost > 0 || unfinished > 0 || slowestRefusalMs > ANSWER_WITHIN_MS) {
  console.error('outage: FAILED');
  process.exitCode = 1;
} else {
  console.log('outage: every request was answered, nothing was lost, everything resumed by itself');
}
