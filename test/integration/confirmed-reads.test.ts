import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { account } from '../audit/account.ts';
import { startClusterRoutes } from '../support/cluster-routes.ts';
import { startTestCluster } from '../support/nats-cluster.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { until } from '../support/until.ts';

const ID = 'a';
const BOUNDS = { attemptTimeoutMs: 400, deadlineMs: 800 };
/** A leader notices after 4 to 10 s that nobody follows. */
const CUT_MS = 6_000;

const handlerOn = ({ log }: LogHandle): Handler => createHandler({ log, runtime: systemRuntime });

async function move(handler: Handler, amount: number, commandId: string): Promise<string> {
  const meta = { commandId, actor: 'test' };
  try {
    return (await handler.execute(account, ID, { kind: 'move', amount }, meta)).outcome;
  } catch (error) {
    if (error instanceof EventStoreError && error.retryable) return error.code;
    throw error;
  }
}

/** The version, once a cluster that has just elected says it. */
async function settledVersion(handler: Handler): Promise<number> {
  let version = -1;
  const answered = async (): Promise<boolean> => {
    ({ version } = await handler.load(account, ID).catch((error: unknown) => {
      if (error instanceof EventStoreError && error.retryable) return { version };
      throw error;
    }));
    return version >= 0;
  };
  await until('a read is answered', answered, 30_000);
  return version;
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

it('a leader whose routes are cut tells the past to who believes it, and nothing to who asks a majority', {
  timeout: 120_000,
}, async () => {
  await using routes = await startClusterRoutes();
  await using cluster = await startTestCluster({ routes });
  await createLogStream(cluster.urls[0] ?? '', TEST_LOG, 3);
  await cluster.settled([TEST_LOG.stream]);
  const cutOff = await cluster.leaderOf(TEST_LOG.stream);
  const majority = cluster.nodes.find((node) => node !== cutOff);
  if (cutOff === undefined || majority === undefined) throw new Error('The stream has no leader');
  await using far = await openTestLog(majority.url, TEST_LOG, { ...BOUNDS, confirm: 'quorum' });
  await using believing = await openTestLog(cutOff.url, TEST_LOG, BOUNDS);
  await using confirming = await openTestLog(cutOff.url, TEST_LOG, { ...BOUNDS, confirm: 'quorum' });
  const [writer, believer, confirmer] = [far, believing, confirming].map(handlerOn);
  if (writer === undefined || believer === undefined || confirmer === undefined)
    throw new Error('no handlers');
  expect(await move(writer, 1, 'first')).toBe('accepted');
  const before = await settledVersion(confirmer);
  expect(await settledVersion(believer)).toBe(before);

  routes.cut(cluster.nodes.indexOf(cutOff));
  await until(
    'the others store without it',
    async () => (await move(writer, 10, 'second')) === 'accepted',
    30_000,
  );
  const after = await settledVersion(writer);
  expect(after).toBeGreaterThan(before);

  let isOver = false;
  const versionFor = (handler: Handler) => async () => (await handler.load(account, ID)).version;
  const refusals: string[] = [];
  const refusing = async (): Promise<void> => {
    while (!isOver) refusals.push(await move(confirmer, -5, 'less'));
  };
  const watched = Promise.all([
    watching(versionFor(believer), () => isOver),
    watching(versionFor(confirmer), () => isOver),
    refusing(),
  ]);
  await delay(CUT_MS);
  routes.heal();
  await cluster.settled([TEST_LOG.stream]);
  await until('the others are seen again', async () => (await settledVersion(confirmer)) >= after, 30_000);
  isOver = true;
  const [told, confirmed] = await watched;

  expect(told.get(before) ?? 0, 'stale answers of who believes the leader').toBeGreaterThan(0);
  expect(confirmed.get(before)).toBeUndefined();
  expect(confirmed.get('log/unavailable') ?? 0).toBeGreaterThan(0);
  // There is enough since the second commit: whoever was told otherwise was told the past.
  expect(new Set(refusals)).toContain('accepted');
  expect(refusals).not.toContain('rejected');
});
