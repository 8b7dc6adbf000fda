import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { DeadLetter } from '../../src/processes/engine/dead-letters/entry.ts';
import { createDeadLetterPort } from '../../src/processes/engine/dead-letters/operator-port.ts';
import type { LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { until } from '../../src/testing/until.ts';
import { type LogHandle, TEST_LOG } from '../support/nats-log.ts';
import { type Inspection, inspectOrders } from '../support/order-invariants.ts';
import type { Traffic } from './client.ts';
import type { Told } from './customers.ts';
import type { Fleet } from './fleet.ts';
import type { ShipmentsReport } from './shipments.ts';
import type { Tally } from './tally.ts';
import type { ReceiversReport } from './webhooks.ts';

/** What a run came to. */
export interface SoakReport {
  readonly placed: number;
  /** Orders by how they ended; a rejected one by its step and code. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly faults: ReadonlyMap<string, number>;
  readonly traffic: Traffic;
  readonly copies: number;
  /** How often authorisation was asked for beyond the first time. */
  readonly paymentRetries: number;
  /** Parked commits, as sentences. */
  readonly parked: readonly string[];
  /** What instances logged as errors, by message. */
  readonly complaints: ReadonlyMap<string, number>;
  /** Orders of which something is still to be done, as sentences. */
  readonly stuck: readonly string[];
  readonly violations: readonly string[];
  /** From the first order until all were at rest. */
  readonly seconds: number;
  /** What receivers of public events got, where there are some. */
  readonly receivers?: ReceiversReport | undefined;
  /** What the second service has done, where there is one. */
  readonly shipments?: ShipmentsReport | undefined;
}

interface Evidence {
  readonly truth: LogHandle;
  readonly told: Told;
  readonly tally: Tally;
  readonly faults: ReadonlyMap<string, number>;
  readonly traffic: Traffic;
  readonly fleet: Fleet;
  /** Milliseconds since the Unix epoch. */
  readonly started: number;
}

const CALM_WITHIN_MS = 20_000;

/** The ledger of the simulated provider of a test log. */
export async function ledgerOf({ requests }: LogHandle): Promise<() => AsyncIterable<LedgerEntry>> {
  const bucket = await bucketsOn({ requests }).create(`${TEST_LOG.prefix}_payments`, { durable: true });
  return createSimulatedProvider({ bucket, runtime: systemRuntime }).ledger;
}

/** The dead letters of consumers with buckets of that prefix. */
export function deadLettersOn(
  handle: Pick<LogHandle, 'requests'>,
  prefix: string,
): Promise<readonly DeadLetter[]> {
  return createDeadLetterPort({ buckets: bucketsOn(handle), prefix, runtime: systemRuntime }).list();
}

/** What is parked on a test log. */
export async function parkedOn(handle: Pick<LogHandle, 'requests'>): Promise<string[]> {
  const entries = await deadLettersOn(handle, TEST_LOG.prefix);
  return entries.map(
    ({ consumer, category, id, position, attempts, error }) =>
      `${consumer}: ${category}/${id} at ${numberOf(position)} after ${attempts} tries: ${error?.message ?? 'behind another'}`,
  );
}

/** Counts and compares, once all has come to rest; a parcel that is still leaving gets a moment. */
export async function reportOf(evidence: Evidence): Promise<SoakReport> {
  const { truth, told, fleet, faults, traffic } = evidence;
  const seconds = (Date.now() - evidence.started) / 1_000;
  // The last fault may have been NATS itself, and this connection not be back yet.
  await until('NATS answers', async () => (await truth.log.head()) !== BEGINNING, CALM_WITHIN_MS);
  const ledger = await ledgerOf(truth);
  let found: Inspection = { orders: new Map(), open: [], violations: [] };
  const calm = async (): Promise<boolean> => {
    found = await inspectOrders(truth.log, ledger());
    return found.open.length === 0 && found.violations.length === 0;
  };
  await until('the books agree', calm, CALM_WITHIN_MS).catch(() => undefined);
  let paymentRetries = 0;
  for await (const { attempts } of ledger()) paymentRetries += Math.max(0, attempts - 1);
  return {
    placed: told.placed.size,
    outcomes: outcomesOf(found),
    faults,
    traffic,
    copies: told.copies,
    paymentRetries,
    parked: await parkedOn(truth),
    complaints: fleet.complaints(),
    stuck: found.open,
    violations: [...found.violations, ...told.wrong, ...brokenPromises(told, found)],
    seconds,
  };
}

/** Orders that were answered and are not so, or were never answered. */
function brokenPromises({ placed, ended }: Told, { orders }: Inspection): string[] {
  const lost = [...placed].filter((id) => !orders.has(id)).map((id) => `${id} was answered and is not there`);
  const extra = [...orders.keys()]
    .filter((id) => !placed.has(id))
    .map((id) => `${id} is there and was not answered`);
  const other = [...ended].flatMap(([id, status]) => {
    const is = orders.get(id)?.status;
    return is === status ? [] : [`${id} was answered ${status} and is ${is}`];
  });
  return [...lost, ...extra, ...other];
}

function outcomesOf({ orders }: Inspection): Map<string, number> {
  const counts = new Map<string, number>();
  for (const state of orders.values()) {
    const name = state.status === 'rejected' ? `rejected, ${state.step}, ${state.code}` : state.status;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return new Map([...counts].sort(([a], [b]) => a.localeCompare(b)));
}

function bucketsOn({ requests }: Pick<LogHandle, 'requests'>): ReturnType<typeof createNatsBuckets> {
  const runtime = systemRuntime;
  return createNatsBuckets({ requests, runtime, replicas: 1, timeoutMs: 5_000, announceLosses: false });
}

const LISTED = 20;

/** The report as a table for a terminal, then what is wrong. */
export function formatReport(report: SoakReport): string {
  const { placed, outcomes, faults, traffic, copies, paymentRetries, seconds, receivers, shipments } = report;
  const rows: readonly (readonly [string, number | string])[] = [
    ['placed', placed],
    ...outcomes,
    ['repeated under the same key', copies],
    ['requests', traffic.requests],
    ['requests sent again', traffic.repeated],
    ['unknown answers resolved', traffic.resolved],
    ['payment tries repeated', paymentRetries],
    ['parked', report.parked.length],
    ...[...faults].map(([name, count]) => [`fault: ${name}`, count] as const),
    ['seconds', seconds.toFixed(1)],
    ['orders/s, placed to final', (placed / seconds).toFixed(1)],
    ['logged as errors', [...report.complaints.values()].reduce((sum, count) => sum + count, 0)],
    ...(receivers === undefined
      ? []
      : ([
          ['public events', receivers.events],
          ['deliveries taken', receivers.deliveries],
          ['of them repeated', receivers.repeated],
          ['violations of receivers', receivers.violations.length],
        ] as const)),
    ...(shipments === undefined
      ? []
      : ([
          ['shipments opened', shipments.opened],
          ['of them shipped', shipments.shipped],
          ['of them shipped by hand before', shipments.shippedByHand],
          ['of them refused by the shop', shipments.refused],
          ['violations of shipments', shipments.violations.length],
        ] as const)),
    ['stuck', report.stuck.length],
    ['violations', report.violations.length],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return [
    ...rows.map(([name, value]) => `  ${name.padEnd(width)}${String(value).padStart(10)}`),
    ...section(
      'Logged as errors:',
      [...report.complaints].map(([what, count]) => `${count} x ${what}`),
    ),
    ...section('Parked:', report.parked),
    ...section('Stuck:', report.stuck),
    ...section('Violations:', report.violations),
    ...section('Violations of receivers:', receivers?.violations ?? []),
    ...section('Violations of shipments:', shipments?.violations ?? []),
  ].join('\n');
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > LISTED ? [`  and ${lines.length - LISTED} more`] : [];
  return [title, ...lines.slice(0, LISTED).map((line) => `  ${line}`), ...more];
}

/** Whether every order came to rest, everything agrees, and no instance logged an error of its own. */
export function isClean({
  stuck,
  violations,
  parked,
  complaints,
  receivers,
  shipments,
}: SoakReport): boolean {
  const wrong = [...violations, ...(receivers?.violations ?? []), ...(shipments?.violations ?? [])];
  return stuck.length + wrong.length + parked.length + complaints.size === 0;
}
