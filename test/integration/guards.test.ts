import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log, RecordedCommit } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { scanAll } from '../../src/testing/contracts/log-support.ts';
import { startTestCluster, type TestCluster } from '../../src/testing/nats-cluster.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';
import { brokenGuards, lower, PAIR, raise } from '../support/on-call.ts';

const PROCESSES = 6;
const STEP_DOWN_EVERY_MS = 700;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startTestCluster();
}, 90_000);
afterAll(async () => {
  await cluster.stop();
});

/** Processes that lower and raise the pair for a while, each on another server, while the log's leader changes. */
async function race(name: string, forMs: number, spoil: (log: Log) => Log) {
  const names = { stream: name, prefix: name };
  const [url = ''] = cluster.urls;
  await createLogStream(url, names, 3);
  await cluster.settled([name]);
  const end = Date.now() + forMs;
  const outcomes = new Map<string, number>();
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const work = async (place: number): Promise<void> => {
    await using handle = await openTestLog(cluster.urls[place % 3] ?? url, names);
    const handler = createHandler({ log: spoil(handle.log), runtime: systemRuntime });
    for (let i = 0; Date.now() < end; i++) {
      const id = PAIR[(place + i) % 2] ?? 'left';
      try {
        const lowered = await lower(handler, id, `${name}.${place}.${i}`);
        count(lowered.outcome);
        // One of the two is brought back only when nothing can be lowered, so that zero is always near.
        if (lowered.outcome === 'rejected') await raise(handler, id, `${name}.${place}.${i}.up`);
      } catch (error) {
        if (!(error instanceof EventStoreError && error.retryable)) throw error;
        count(error.code);
      }
    }
  };
  const unsettle = async (): Promise<void> => {
    for (; Date.now() < end; await systemRuntime.sleep(STEP_DOWN_EVERY_MS)) await cluster.stepDown(name);
  };
  await Promise.all([unsettle(), ...Array.from({ length: PROCESSES }, (_, place) => work(place))]);
  await cluster.settled([name]);
  await using reader = await openTestLog(url, names);
  const commits: RecordedCommit[] = await scanAll(reader.log, { after: BEGINNING });
  return { broken: brokenGuards(commits), outcomes };
}

it('on three servers whose leader changes, nothing is stored on a guard that does not hold (protocol 24)', async () => {
  const { broken, outcomes } = await race('guarded', 8_000, (log) => log);
  expect(broken).toEqual([]);
  expect(outcomes.get('accepted')).toBeGreaterThan(20);
  expect(outcomes.get('rejected')).toBeGreaterThan(0);
}, 60_000);

it('the same race finds guards that are left out', async () => {
  const { broken } = await race('unguarded', 4_000, (log) => ({
    ...log,
    appendAll: (entries) => log.appendAll(entries),
  }));
  expect(broken).not.toEqual([]);
}, 60_000);
