import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createPrng, type Prng } from '../../src/eventstore/memory/prng.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { allProjections } from '../../src/projections/read-side.ts';
import { openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { startTestServer, type TestServer } from '../support/nats-server.ts';
import {
  createDataDir,
  type Running,
  runCommand,
  startCommand,
  type Variables,
} from '../support/service-process.ts';
import { until } from '../support/until.ts';
import { differingKeys, plainFold, readAll, readView } from './projections-fold.ts';
import { EMAIL_SECRET, startLoad } from './projections-load.ts';

const UNDER_FIRE_MS = 6_000;
const CATCH_UP_MS = 20_000;

/** A service of its own process that keeps the views, started anew whenever it has ended. */
function keepRunning(variables: Variables) {
  let current: Running | undefined;
  let stopped = false;
  let starts = 0;
  const kept = (async () => {
    while (!stopped) {
      await using service = await startCommand(['serve'], variables);
      current = service;
      starts++;
      if (stopped) return;
      await service.ended(120_000);
    }
  })();
  return {
    kill: () => current?.signal('SIGKILL'),
    serves: () => current?.alive() === true && current.output().stdout.includes('JetLedger answers'),
    starts: () => starts,
    output: () => current?.output().stdout ?? '',
    stop: async () => {
      stopped = true;
      current?.signal('SIGKILL');
      await kept;
    },
  };
}

/** Kills one of the runners, or the server, at random moments. */
async function underFire(
  random: Prng,
  server: TestServer,
  runners: readonly ReturnType<typeof keepRunning>[],
): Promise<{ runnerKills: number; serverKills: number }> {
  const kills = { runnerKills: 0, serverKills: 0 };
  for (const end = Date.now() + UNDER_FIRE_MS; Date.now() < end; ) {
    await delay(150 + random() * 700);
    if (random() < 0.4) {
      kills.serverKills++;
      await server.kill9();
      await delay(random() * 200);
      await server.restart();
    } else {
      kills.runnerKills++;
      runners[random() < 0.5 ? 0 : 1]?.kill();
    }
  }
  return kills;
}

it.each([20_260_115, 4_711])(
  'with two runners and the server killed at random under load, every bucket equals the plain fold of the log (seed %i)',
  async (seed) => {
    await using server = await startTestServer();
    await using data = await createDataDir();
    const variables = {
      ...data.variables,
      NATS_URL: server.url,
      JETLEDGER_USERS__EMAIL_KEY: Buffer.from(EMAIL_SECRET).toString('hex'),
      JETLEDGER_PROJECTIONS__CHECKPOINT_INTERVAL_MS: '30',
    };
    expect(await runCommand(['topology', 'apply'], variables)).toMatchObject({ code: 0 });
    await using opened = await openTestLog(server.url);
    const { log, requests } = opened;
    const buckets = createNatsBuckets({ requests, runtime: systemRuntime, replicas: 1, timeoutMs: 2_000 });
    const runners = [keepRunning(variables), keepRunning(variables)];
    try {
      await until('both runners serve', () => runners.every((runner) => runner.serves()));
      const load = startLoad(log, seed);
      const kills = await underFire(createPrng(seed), server, runners);
      await load.stop();
      const head = await log.head();
      const reached = async () => {
        const views = allProjections.map(({ name }) => readView(buckets, TEST_LOG.prefix, name));
        return (await Promise.all(views)).every(({ checkpoint }) => checkpoint >= head);
      };
      await until(`all views have reached ${head}`, reached, CATCH_UP_MS);
      const commits = await readAll(log);
      const differing: Record<string, string[]> = {};
      const sizes: Record<string, number> = {};
      for (const projection of allProjections) {
        const { rows, bucket } = await readView(buckets, TEST_LOG.prefix, projection.name);
        const keys = differingKeys(rows, plainFold(commits, projection));
        sizes[bucket] = rows.size;
        if (keys.length > 0) differing[bucket] = keys;
      }
      const summary = { seed, ...kills, accepted: load.accepted(), commits: commits.length, ...sizes };
      console.log(JSON.stringify(summary));
      expect(differing, `seed ${seed}`).toEqual({});
      expect(Math.min(kills.runnerKills, kills.serverKills, load.accepted())).toBeGreaterThan(0);
    } finally {
      await Promise.all(runners.map((runner) => runner.stop()));
    }
  },
  60_000,
);
