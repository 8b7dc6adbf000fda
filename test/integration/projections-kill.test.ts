import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { bucketName } from '../../src/projections/engine/aliases.ts';
import { views as allProjections } from '../../src/service/shop.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createPrng, type Prng } from '../../src/testing/world.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { createDataDir, type Running, startCommand, type Variables } from '../support/service-process.ts';
import {
  differingKeys,
  liveBucket,
  plainFold,
  promisedPosition,
  readAll,
  readRows,
} from './projections-fold.ts';
import { killForgetting } from './projections-forget.ts';
import { EMAIL_SECRET, startLoad } from './projections-load.ts';

/** Those that may lose their newest rows with the server: nothing in them crosses aggregates. */
const FAST_BUCKETS = allProjections
  .filter((projection) => !projection.crossesAggregates)
  .map(({ name }) => bucketName(TEST_LOG.prefix, name, 1));
const UNDER_FIRE_MS = 5_500;
const CATCH_UP_MS = 20_000;

/** A service of its own process that keeps the views, started anew whenever it has ended. */
function keepRunning(variables: Variables) {
  let current: Running | undefined;
  let stopped = false;
  const trouble: string[] = [];
  const kept = (async () => {
    while (!stopped) {
      await using service = await startCommand(['serve'], variables);
      current = service;
      if (stopped) return;
      const { stdout, stderr } = await service.ended(120_000);
      trouble.push(...stdout.split('\n').filter((line) => /"level":[456]0/.test(line)), stderr);
    }
  })();
  return {
    kill: () => current?.signal('SIGKILL'),
    serves: () => current?.alive() === true && current.output().stdout.includes('JetLedger answers'),
    /** What its lives so far have warned of, for the report of a failure. */
    trouble: () => trouble.filter((line) => line !== '').join('\n'),
    stop: async () => {
      stopped = true;
      current?.signal('SIGKILL');
      await kept;
    },
  };
}

/** Kills one of the runners, or the server, at random moments; half of the time the fast buckets forget their end. */
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
      if (random() < 0.5) await server.kill9();
      else await killForgetting(server, FAST_BUCKETS, random() * 200);
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
      // What they append would move the log's end.
      JETLEDGER_SERVICE__ROLES: 'api,projections',
      JETLEDGER_PROJECTIONS__CHECKPOINT_INTERVAL_MS: '30',
    };
    await applyTopology(variables);
    await using opened = await openTestLog(server.url);
    const { log, requests } = opened;
    const buckets = createNatsBuckets({
      requests,
      runtime: systemRuntime,
      replicas: 1,
      timeoutMs: 2_000,
      announceLosses: false,
    });
    const runners = [keepRunning(variables), keepRunning(variables)];
    try {
      await until('both runners serve', () => runners.every((runner) => runner.serves()), CATCH_UP_MS);
      await using load = startLoad(log, seed);
      const kills = await underFire(createPrng(seed), server, runners);
      await load.stop();
      const head = numberOf(await log.head());
      const live = (view: string) => liveBucket(buckets, TEST_LOG.prefix, view);
      for (const { name } of allProjections) {
        const reached = async () => (await promisedPosition(await live(name))) >= head;
        await until(`${name} has reached ${head}`, reached, CATCH_UP_MS);
      }
      const commits = await readAll(log);
      const differing: Record<string, string[]> = {};
      const sizes: Record<string, number> = {};
      for (const projection of allProjections) {
        const rows = await readRows(await live(projection.name));
        const keys = differingKeys(rows, plainFold(commits, projection));
        sizes[projection.name] = rows.size;
        if (keys.length > 0) differing[projection.name] = keys;
      }
      const summary = { seed, ...kills, accepted: load.accepted(), commits: commits.length, ...sizes };
      console.log(JSON.stringify(summary));
      expect(differing, `seed ${seed}`).toEqual({});
      // A load that makes no rows of some view would prove nothing about it.
      expect(Math.min(kills.runnerKills, kills.serverKills, ...Object.values(sizes))).toBeGreaterThan(0);
    } catch (error) {
      await Promise.all(runners.map((runner) => runner.stop()));
      console.log(runners.map((runner) => runner.trouble()).join('\n'));
      throw error;
    } finally {
      await Promise.all(runners.map((runner) => runner.stop()));
    }
  },
  60_000,
);
