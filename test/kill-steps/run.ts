import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { timersStreamConfig } from '../../src/processes/engine/timers/nats-timers.ts';
import {
  notificationStream,
  notificationStreamConfig,
  parseNotification,
} from '../../src/processes/notification/adapters/outbox.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ledgerOf, parkedOn } from '../soak/report.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { inspectOrders } from '../support/order-invariants.ts';
import { type CrashPoint, customerOf } from './calls.ts';
import { type Path, paths } from './paths.ts';
import { startPool } from './pool.ts';
import { createShop } from './shop.ts';
import { takeTurns } from './turns.ts';
import { openOrderWorker } from './worker.ts';

export interface KillOptions {
  /** Of all points every so many-th is tried; 1 = all. */
  readonly every: number;
  /** Worker processes at once. */
  readonly workers: number;
  /** Further orders of each path that nobody is killed for. */
  readonly bystanders?: number;
  readonly onProgress?: (line: string) => void;
}

/** What became of a run. */
export interface KillReport {
  /** Every place of the process where a worker may die, on any path. */
  readonly points: number;
  /** Where workers were to die in this run. */
  readonly tried: readonly CrashPoint[];
  readonly deaths: number;
  /** Points that nobody came by, as sentences. */
  readonly missed: readonly string[];
  readonly parked: readonly string[];
  /** What customers could not ask for. */
  readonly refused: readonly string[];
  readonly violations: readonly string[];
  readonly seconds: number;
}

const DRY_MS = 60_000;
const REST_MS = 120_000;
const PROGRESS_MS = 5_000;
const DAY_MS = 86_400_000;

/**
 * Runs one order of each path undisturbed and notes every call that is made for it. Then, for each call, a worker is
 * killed right before it and one right after it, each for an order of its own, and others take over.
 */
export async function runKillSteps(options: KillOptions): Promise<KillReport> {
  const started = performance.now();
  await using server = await startTestServer();
  await createStreams(server.url);
  await using truth = await openTestLog(server.url);
  const placed = new Map<string, Path>();
  const calls = await rehearse(server.url, truth, placed);
  const all = pointsOf(calls);
  const tried = all.filter((_, index) => index % options.every === 0);
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-kills-'));
  const shop = createShop(truth.log, isToldOn(truth), REST_MS);
  const reached = async (): Promise<Set<string>> => new Set(await readdir(folder));
  try {
    await using pool = await startPool(options.workers, { url: server.url, folder, points: tried });
    const progress = setInterval(() => {
      options.onProgress?.(`${pool.deaths} of ${tried.length} workers killed`);
    }, PROGRESS_MS);
    const place = (orderId: string, moreTime = 1): Promise<void> => {
      const path = pathOf(orderId);
      placed.set(orderId, path);
      return shop.order({ ...path, dueInMs: path.dueInMs * moreTime }, orderId);
    };
    const bystanders = paths.flatMap(({ name }) =>
      Array.from({ length: options.bystanders ?? 0 }, (_, n) => `${name}-bystander-${n}`),
    );
    const isReached = async (index: number): Promise<boolean> => (await reached()).has(String(index));
    const [refused] = await Promise.all([
      takeTurns({ points: tried, workers: options.workers, place, isReached }),
      ...bystanders.map((orderId) => place(orderId)),
    ]);
    const rests = async () => (await wrongIn(truth, placed)).length === 0;
    await until('every order has come to its end', rests, REST_MS).catch(() => undefined);
    clearInterval(progress);
    const used = await reached();
    return {
      points: all.length,
      tried,
      deaths: pool.deaths,
      missed: tried.filter((_, index) => !used.has(String(index))).map(sentenceOf),
      parked: await parkedOn(truth),
      refused,
      violations: [...pool.problems, ...(await wrongIn(truth, placed))],
      seconds: (performance.now() - started) / 1_000,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sentenceOf = ({ orderId, call, moment }: CrashPoint): string => `${orderId}: ${moment} ${call}`;

function pathOf(orderId: string): Path {
  const found = paths.find(({ name }) => orderId.startsWith(`${name}-`));
  if (found === undefined) throw new RangeError(`no path of ${orderId}`);
  return found;
}

/** One order of each path, and the calls that were made for it, in their order. */
async function rehearse(
  url: string,
  truth: LogHandle,
  placed: Map<string, Path>,
): Promise<ReadonlyMap<Path, ReadonlySet<string>>> {
  const calls = new Map(paths.map((path) => [path, new Set<string>()] as const));
  const worker = await openOrderWorker(url, ({ orderId, call }) => {
    calls.get(pathOf(orderId))?.add(call);
  });
  worker.begin();
  try {
    const shop = createShop(truth.log, isToldOn(truth), DRY_MS);
    await shop.open();
    for (const path of paths) placed.set(`${path.name}-rehearsal`, path);
    await Promise.all([...placed].map(([orderId, path]) => shop.order(path, orderId)));
    const rests = async () => (await wrongIn(truth, placed)).length === 0;
    await until('the rehearsal has come to its end', rests, DRY_MS);
  } finally {
    await worker.stop();
  }
  return calls;
}

/** Before and after each call of each path, an order for each. */
function pointsOf(calls: ReadonlyMap<Path, ReadonlySet<string>>): CrashPoint[] {
  return [...calls].flatMap(([{ name }, made]) =>
    [...made].flatMap((call, n) => [
      { orderId: `${name}-${n}-before`, call, moment: 'before' as const },
      { orderId: `${name}-${n}-after`, call, moment: 'after' as const },
    ]),
  );
}

/** What is not as it must be in the end: stock, money, ends, notifications. */
async function wrongIn(truth: LogHandle, placed: ReadonlyMap<string, Path>): Promise<string[]> {
  const ledger = await ledgerOf(truth);
  const { open, violations, orders } = await inspectOrders(truth.log, ledger());
  const ends = [...placed].flatMap(([orderId, { end }]) => {
    const status = orders.get(orderId)?.status ?? 'absent';
    return status === end ? [] : [`${orderId} is ${status} and not ${end}`];
  });
  if (open.length + violations.length + ends.length > 0) return [...open, ...violations, ...ends];
  const told = await notifications(truth.connection);
  return [...placed].flatMap(([orderId, path]) => {
    const expected = [...path.told].sort().join(', ');
    const was = [...(told.get(orderId) ?? [])].sort().join(', ');
    return was === expected ? [] : [`${orderId}: customers were told ${was || 'nothing'}, not ${expected}`];
  });
}

/** Whether a customer was told that an order is confirmed. */
function isToldOn({ connection }: LogHandle): (orderId: string) => Promise<boolean> {
  const { prefix } = TEST_LOG;
  return async (orderId) => {
    const jsm = await jetstreamManager(connection);
    const last_by_subj = `${prefix}n.order-confirmed.${customerOf(orderId)}`;
    return (await jsm.streams.getMessage(notificationStream(prefix), { last_by_subj })) !== null;
  };
}

/** What was put on the stream of notifications, by order. */
async function notifications(connection: NatsConnection): Promise<ReadonlyMap<string, readonly string[]>> {
  const jsm = await jetstreamManager(connection);
  const stream = notificationStream(TEST_LOG.prefix);
  const told = new Map<string, string[]>();
  const { state } = await jsm.streams.info(stream);
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(stream, { seq });
    if (message === null) continue;
    const { orderId = '', kind } = parseNotification(message.string());
    told.set(orderId, [...(told.get(orderId) ?? []), kind]);
  }
  return told;
}

async function createStreams(url: string): Promise<void> {
  await createLogStream(url);
  await using handle = await openTestLog(url);
  const jsm = await jetstreamManager(handle.connection);
  const common = { prefix: TEST_LOG.prefix, replicas: 1 };
  await jsm.streams.add(timersStreamConfig(common));
  await jsm.streams.add(notificationStreamConfig({ ...common, maxAgeMs: DAY_MS }));
}
