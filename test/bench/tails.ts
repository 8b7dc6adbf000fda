import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { startFsyncWitness } from './fsync-witness.ts';
import { type BenchRequest, CONNECTIONS } from './http-load.ts';
import { DURABLE, prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { scaled } from './measure.ts';
import { type BenchOptions, type ResultRow, type Scenario, statOf } from './result.ts';

const RATES = [200, 500, 1_000];
/** Of one window. */
const SECONDS = 10;
const LEAST_SECONDS = 2;
const WARM_UP_SECONDS = 3;
const SHARES = [
  ['p50', 0.5],
  ['p99', 0.99],
  ['p99.9', 0.999],
  ['max', 1],
] as const;

/** Requests on a schedule that no slow answer holds up: each one's time counts from when it was due. */
export const tailsScenario: Scenario = {
  name: 'tails',
  title:
    '`POST /v1/orders` as shipped on a fixed schedule, from the scheduled time / fsync of 256 bytes meanwhile',
  run: async (options) => [
    ...(await measureOn('default sync', false, options)),
    ...(await measureOn('`sync_interval: always`', true, options)),
  ],
};

async function measureOn(what: string, syncAlways: boolean, options: BenchOptions): Promise<ResultRow[]> {
  await using server = await startTestServer({ syncAlways });
  await prepareServer(server.url);
  await using service = await startServiceOn(server.url, 'api', syncAlways ? DURABLE : {});
  const orders = await openBenchShop(service.url);
  await using disk = startFsyncWitness();
  await onSchedule(service.url, orders, RATES.at(-1) ?? 0, WARM_UP_SECONDS);
  const rows: ResultRow[] = [];
  for (const rate of RATES) {
    const rounds: { readonly answers: number[]; readonly syncs: number[] }[] = [];
    for (let round = 0; round < options.rounds; round++) {
      await disk.take();
      const answers = await onSchedule(
        service.url,
        orders,
        rate,
        scaled(SECONDS, options.scale, LEAST_SECONDS),
      );
      rounds.push({ answers, syncs: await disk.take() });
    }
    for (const [name, share] of SHARES) {
      rows.push({
        name: `16. ${rate} requests/s, ${what}: ${name}`,
        product: statOf(rounds.map(({ answers }) => shareOf(answers, share))),
        baseline: statOf(rounds.map(({ syncs }) => shareOf(syncs, share))),
        unit: 'ms',
      });
    }
    options.print(`${what}, ${rate} requests/s: p99 ${rows.at(-3)?.product.median.toFixed(1)} ms`);
  }
  return rows;
}

/** How long after its time each request was answered, in milliseconds. @throws Error when an answer is not 201 */
async function onSchedule(
  url: string,
  orders: readonly BenchRequest[],
  rate: number,
  seconds: number,
): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const start = performance.now();
  const answers: Promise<number>[] = [];
  const total = rate * seconds;
  while (answers.length < total) {
    const due = start + (answers.length * 1_000) / rate;
    if (due > performance.now()) {
      await delay(1);
      continue;
    }
    const answer = placed(agent, url, orders[answers.length % orders.length]).then((at) => at - due);
    // Told below; a failure before that must not end the process, which has servers to stop.
    answer.catch(() => undefined);
    answers.push(answer);
  }
  const took = await Promise.all(answers);
  agent.destroy();
  return took;
}

/** Places an order. @returns when it was answered, on this process's clock */
function placed(agent: Agent, url: string, order: BenchRequest | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const sent = request(`${url}${order?.path}`, { agent, method: 'POST', headers }, (response) => {
      response.resume().on('end', () => {
        if (response.statusCode === 201) resolve(performance.now());
        else reject(new Error(`an order was answered ${response.statusCode}`));
      });
    });
    sent.on('error', reject).end(JSON.stringify(order?.body));
  });
}

function shareOf(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN;
}
