import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestCluster, type TestCluster } from '../../src/testing/nats-cluster.ts';
import { until } from '../../src/testing/until.ts';
import { account } from '../audit/account.ts';
import { type CuttableRoutes, startClusterRoutes } from '../support/cluster-routes.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const BOUNDS = { attemptTimeoutMs: 400, deadlineMs: 800 };
/** A leader notices after 4 to 10 s that nobody follows. */
const CUT_MS = 6_000;
/** The others elect after 4 to 9 s: in some cuts the leader has noticed by then, and nobody is told the past. */
const CUTS = 6;

const handlerOn = ({ log }: LogHandle): Handler => createHandler({ log, runtime: systemRuntime });

async function move(handler: Handler, id: string, amount: number): Promise<string> {
  const meta = { commandId: `${id}/${amount}`, actor: 'test' };
  try {
    return (await handler.execute(account, id, { kind: 'move', amount }, meta)).outcome;
  } catch (error) {
    if (error instanceof EventStoreError && error.retryable) return error.code;
    throw error;
  }
}

/** The version, once a cluster that has just elected says it. */
async function settledVersion(handler: Handler, id: string): Promise<number> {
  let version = -1;
  const answered = async (): Promise<boolean> => {
    ({ version } = await handler.load(account, id).catch((error: unknown) => {
      if (error instanceof EventStoreError && error.retryable) return { version };
      throw error;
    }));
    return version >= 0;
  };
  await until('a read is answered', answered, 30_000);
  return version;
}

async function stored(handler: Handler, id: string, amount: number): Promise<void> {
  await until(
    `a move of ${amount} is stored`,
    async () => (await move(handler, id, amount)) === 'accepted',
    60_000,
  );
}

/** What a reader was told again and again: balances, and codes of errors, each with how often. */
async function watching(
  read: () => Promise<number>,
  over: () => boolean,
): Promise<Map<number | string, number>> {
  const told = new Map<number | string, number>();
  while (!over()) {
    const answer = await read().catch((error: unknown) => {
      if (error instanceof EventStoreError && error.retryable) return error.code;
      throw error;
    });
    told.set(answer, (told.get(answer) ?? 0) + 1);
    await delay(10);
  }
  return told;
}

interface Told {
  readonly believer: ReadonlyMap<number | string, number>;
  readonly confirmer: ReadonlyMap<number | string, number>;
  readonly refusals: readonly string[];
  readonly before: number;
}

/** Cuts the leader off, lets the others store a commit, and says what the readers of the one cut off were told. */
async function cutOnce(cluster: TestCluster, routes: CuttableRoutes, id: string): Promise<Told> {
  await cluster.settled([TEST_LOG.stream]);
  const cutOff = await cluster.leaderOf(TEST_LOG.stream);
  const majority = cluster.nodes.find((node) => node !== cutOff);
  if (cutOff === undefined || majority === undefined) throw new Error('The stream has no leader');
  await using far = await openTestLog(majority.url, TEST_LOG, {
    ...BOUNDS,
    confirm: 'quorum',
  });
  await using believing = await openTestLog(cutOff.url, TEST_LOG, BOUNDS);
  await using confirming = await openTestLog(cutOff.url, TEST_LOG, {
    ...BOUNDS,
    confirm: 'quorum',
  });
  const [writer, believer, confirmer] = [handlerOn(far), handlerOn(believing), handlerOn(confirming)];
  await stored(writer, id, 1);
  const before = await settledVersion(confirmer, id);
  expect(await settledVersion(believer, id)).toBe(before);

  routes.cut(cluster.nodes.indexOf(cutOff));
  await stored(writer, id, 10);
  let isOver = false;
  const versionFor = (handler: Handler) => async () => (await handler.load(account, id)).version;
  const refusals: string[] = [];
  const refusing = async (): Promise<void> => {
    while (!isOver) refusals.push(await move(confirmer, id, -5));
  };
  const watched = Promise.all([
    watching(versionFor(believer), () => isOver),
    watching(versionFor(confirmer), () => isOver),
    refusing(),
  ]);
  const after = await settledVersion(writer, id);
  expect(after).toBeGreaterThan(before);
  await delay(CUT_MS);
  routes.heal();
  await cluster.settled([TEST_LOG.stream]);
  await until(
    'the others are seen again',
    async () => (await settledVersion(confirmer, id)) >= after,
    30_000,
  );
  isOver = true;
  const [told, confirmed] = await watched;
  return { believer: told, confirmer: confirmed, refusals, before };
}

it('a leader whose routes are cut tells the past to who believes it, and nothing to who asks a majority', {
  timeout: 300_000,
}, async () => {
  await using routes = await startClusterRoutes();
  await using cluster = await startTestCluster({ routes });
  await createLogStream(cluster.urls[0] ?? '', TEST_LOG, 3);

  let stale = 0;
  for (let cut = 0; cut < CUTS && stale === 0; cut += 1) {
    const { believer, confirmer, refusals, before } = await cutOnce(cluster, routes, `account-${cut}`);
    stale += believer.get(before) ?? 0;
    expect(confirmer.get(before)).toBeUndefined();
    expect(confirmer.get('log/unavailable') ?? 0).toBeGreaterThan(0);
    // There is enough since the second commit: whoever was told otherwise was told the past.
    expect(new Set(refusals)).toContain('accepted');
    expect(refusals).not.toContain('rejected');
  }
  expect(stale, 'stale answers of who believes the leader').toBeGreaterThan(0);
});
