import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { readLowest } from '../../src/projections/engine/checkpoint.ts';
import { isRowKey } from '../../src/projections/engine/projection.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { testProgram } from '../support/service-build.ts';
import { differingKeys, liveBucket, plainFold, readAll, readRows } from './projections-fold.ts';
import { startLoad } from './projections-load.ts';
import { wideOrders } from './projections-shared-view.ts';

const WORKER = new URL('projections-shared-worker.ts', import.meta.url);
const GROUPS = wideOrders.groups;
/** From the death of an instance until its groups are at work again, whoever has them. */
const TAKEOVER_MS = 10_000;

/** An instance in a process of its own. */
async function startInstance(url: string) {
  const child: ChildProcess = fork(await testProgram(WORKER), [url], { execArgv: [] });
  let owned = 0;
  child.on('message', (groups) => {
    owned = Number(groups);
  });
  const kill = async (): Promise<void> => {
    owned = 0;
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
    owned = 0;
  };
  return { owned: () => owned, kill, [Symbol.asyncDispose]: kill };
}

it('three processes divide the groups; when one is killed the others take over, and no order goes back or differs from the log', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using opened = await openTestLog(server.url);
  const { log, requests } = opened;
  const buckets = createNatsBuckets({
    requests,
    runtime: systemRuntime,
    replicas: 1,
    timeoutMs: 2_000,
    announceLosses: false,
  });
  await using one = await startInstance(server.url);
  await using two = await startInstance(server.url);
  await using three = await startInstance(server.url);
  const instances = [one, two, three];
  const divided = () => instances.reduce((sum, { owned }) => sum + owned(), 0) === GROUPS;
  await until(
    'each group has one owner',
    () => divided() && instances.every(({ owned }) => owned() < GROUPS),
  );

  const bucket = await liveBucket(buckets, TEST_LOG.prefix, wideOrders.name);
  const watching = new AbortController();
  const back: string[] = [];
  const seen = new Map<string, number>();
  const watched = (async () => {
    for await (const { key, position } of bucket.watch({ signal: watching.signal })) {
      if (!isRowKey(key)) continue;
      const [at, before] = [numberOf(position), seen.get(key) ?? 0];
      if (at <= before) back.push(`${key} from ${before} to ${at}`);
      seen.set(key, at);
    }
  })();
  const passed = (position: number) => async () =>
    numberOf((await readLowest(bucket, GROUPS))?.position ?? BEGINNING) >= position;

  await using load = startLoad(log, 20_260_115);
  await until('all groups are at work', passed(200));
  await instances.sort((a, b) => b.owned() - a.owned())[0]?.kill();
  const atDeath = await log.head();
  await until(
    'every group has an owner again',
    async () => divided() && (await passed(numberOf(atDeath))()),
    TAKEOVER_MS,
  );
  await load.stop();
  await until('all groups have reached the end of the log', passed(numberOf(await log.head())));
  const rows = await readRows(bucket);
  await until('all changes were seen', () => seen.size === rows.size);
  watching.abort();
  await watched;
  expect(back).toEqual([]);
  expect(differingKeys(rows, plainFold(await readAll(log), wideOrders))).toEqual([]);
  expect(rows.size).toBeGreaterThan(50);
}, 40_000);
