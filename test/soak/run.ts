import { setTimeout as delay } from 'node:timers/promises';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createPrng } from '../../src/testing/world.ts';
import { openTestLog } from '../support/nats-log.ts';
import { createDataDir } from '../support/service-process.ts';
import { type Client, createClient } from './client.ts';
import { act, nothingTold, type Told } from './customers.ts';
import { inject, injectAtRandom, type Victims } from './faults.ts';
import { startFleet } from './fleet.ts';
import { startSecondService } from './fulfilment.ts';
import { type PlanDeps, planOf } from './mix.ts';
import { reportOf, type SoakReport } from './report.ts';
import { deactivate, openShop } from './shop.ts';
import { startTally, type Tally } from './tally.ts';
import { PUBLIC_VARIABLES, startReceivers } from './webhooks.ts';

export interface SoakOptions {
  readonly orders: number;
  readonly instances: number;
  readonly seed: number;
  /** `random`: all the time. `each`: an instance is killed after a third of the orders, NATS after two thirds. */
  readonly faults: 'none' | 'random' | 'each';
  /** From placing an order until its payment is due. */
  readonly paymentDeadlineMs: number;
  /** Orders that may be on their way before no more are placed. */
  readonly maxOpen: number;
  /** How long the orders may take to come to rest when all are placed. */
  readonly restWithinMs: number;
  /** Receivers of public events, of which the first three are bad; none unless given. */
  readonly webhooks?: number;
  /** Two processes of examples/fulfilment ship what is confirmed; none unless given. */
  readonly fulfilment?: boolean;
  readonly onProgress?: (line: string) => void;
}

const PROGRESS_MS = 5_000;
const LOOK_MS = 25;
const PLACERS = 24;
const EMAIL_KEY = '5a'.repeat(32);

/** Customers order from several service processes while these and NATS fail; then the books are checked. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const random = createPrng(options.seed);
  await using nats = await startTestServer();
  await using data = await createDataDir();
  await using receivers = options.webhooks ? await startReceivers(options.webhooks) : undefined;
  await using fleet = await startFleet(options.instances, {
    ...data.variables,
    ...((receivers || options.fulfilment) && PUBLIC_VARIABLES),
    NATS_URL: nats.url,
    JETLEDGER_LOG__DURABILITY: 'none',
    JETLEDGER_USERS__EMAIL_KEY: EMAIL_KEY,
    JETLEDGER_PROCESSES__PAYMENT_DEADLINE_MS: String(options.paymentDeadlineMs),
  });
  await using second = options.fulfilment ? await startSecondService(nats, fleet, random) : undefined;
  await using truth = await openTestLog(nats.url);
  const client = createClient(fleet, random);
  const run = `S${options.seed}`;
  const plans = { run, random, catalogue: await openShop(client, run, options.orders) };
  await receivers?.subscribe(client, run);
  const tally = startTally(truth.log);
  const told = nothingTold();
  const faults = new Map<string, number>();
  const started = Date.now();
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1_000);
    const soFar = [...faults].map(([name, count]) => `${count} ${name}`).join(', ');
    options.onProgress?.(`${seconds} s: ${told.placed.size} placed, ${tally.open().size} open; ${soFar}`);
  }, PROGRESS_MS);
  try {
    const victims = { fleet, nats, random, second };
    await placeAll(options, { client, plans, told, tally, victims, faults });
    const restsBy = { tally, told, withinMs: options.restWithinMs };
    await rest(restsBy);
    // It ships what the books and the receivers then tell of.
    const shipments = await second?.compare(truth.log);
    const report = await reportOf({ truth, told, tally, faults, traffic: client.traffic, fleet, started });
    return { ...report, shipments, receivers: await receivers?.compare(client, truth.log) };
  } finally {
    clearInterval(progress);
    await tally.stop();
  }
}

interface Stage {
  readonly client: Client;
  readonly plans: PlanDeps;
  readonly told: Told;
  readonly tally: Tally;
  readonly victims: Victims;
  readonly faults: Map<string, number>;
}

async function placeAll(options: SoakOptions, stage: Stage): Promise<void> {
  const { client, plans, told, tally } = stage;
  const { active } = plans.catalogue;
  // One customer of twenty leaves while the orders come in.
  const leavers = active.slice(0, Math.ceil(active.length / 20));
  const leaveEvery = Math.ceil(options.orders / (leavers.length + 1));
  const later: Promise<void>[] = [];
  let next = 0;
  const placer = async (): Promise<void> => {
    while (next < options.orders) {
      if (tally.open().size >= options.maxOpen) {
        await delay(LOOK_MS);
        continue;
      }
      const n = next++;
      const leaver = n > 0 && n % leaveEvery === 0 ? leavers[n / leaveEvery - 1] : undefined;
      if (leaver !== undefined) await deactivate(client, leaver, plans.run);
      const acted = await act(client, planOf(n, plans), told);
      // Awaited below; a failure before that is not to end the process.
      acted.later.catch(() => undefined);
      later.push(acted.later);
    }
  };
  const ended = new AbortController();
  const injecting = injectAll(options, stage, ended.signal);
  try {
    await Promise.all(Array.from({ length: PLACERS }, placer));
    await Promise.all(later);
  } finally {
    ended.abort();
    await injecting;
  }
}

async function injectAll(options: SoakOptions, stage: Stage, signal: AbortSignal): Promise<void> {
  const { victims, faults, told } = stage;
  if (options.faults === 'random') return injectAtRandom(victims, faults, signal);
  if (options.faults === 'none') return;
  const reached = async (share: number): Promise<void> => {
    while (told.placed.size < options.orders * share && !signal.aborted) await delay(LOOK_MS);
  };
  await reached(1 / 3);
  await inject('kill-instance', victims, faults);
  await reached(2 / 3);
  await inject('kill-nats', victims, faults);
}

/** Waits until nothing is to be done any more; what is then still open is for the report to say. */
async function rest({
  tally,
  told,
  withinMs,
}: {
  tally: Tally;
  told: Told;
  withinMs: number;
}): Promise<void> {
  const done = () => tally.open().size === 0 && tally.orders() >= told.placed.size;
  await until('every order has come to rest', done, withinMs).catch(() => undefined);
}
