import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import { openPlainGroupCommit } from './plain-group-commit.ts';
import { boundsOf } from './product.ts';
import { statText } from './render.ts';
import { type BenchOptions, type ResultRow, type Scenario, statOf } from './result.ts';
import { type Rival, startRival } from './rival.ts';
import { type Aggregate, appendThrough, freshAggregates, openBare, publishThrough } from './sides.ts';

const CALLERS = 256;
/** Aggregates of each caller: a conflict shall not be followed by another one on the same aggregate. */
const EACH = 40;
const CONFLICT_SHARE = 0.01;

interface Load {
  readonly name: string;
  readonly callers: number;
  readonly share: number;
  /** `js.publish` unless said otherwise. */
  readonly beside?: 'plain' | 'off';
  readonly goal?: number;
}

const ON_ONE: readonly Load[] = [
  { name: '3. append, 256 in flight / js.publish', callers: CALLERS, share: 0, goal: 2.5 },
  {
    name: '3. the same with 1 % conflicts from another process',
    callers: CALLERS,
    share: CONFLICT_SHARE,
    goal: 1.5,
  },
  { name: 'the same, 16 in flight', callers: 16, share: 0, goal: 1 },
  { name: 'the same, 1 in flight', callers: 1, share: 0 },
  {
    name: '64 in flight / a plain group commit by hand',
    callers: 64,
    share: 0,
    beside: 'plain',
    goal: 0.95,
  },
  { name: '16 in flight / group commit off', callers: 16, share: 0, beside: 'off', goal: 1 },
  { name: '64 in flight / group commit off', callers: 64, share: 0, beside: 'off', goal: 1 },
];
const ON_THREE: readonly Load[] = [
  { name: 'three servers, 256 in flight', callers: CALLERS, share: 0 },
  { name: 'three servers, 256 in flight, 1 % conflicts', callers: CALLERS, share: CONFLICT_SHARE },
  { name: 'three servers, 16 in flight', callers: 16, share: 0 },
  { name: 'three servers, 16 in flight / off', callers: 16, share: 0, beside: 'off', goal: 1 },
  { name: 'three servers, 64 in flight / off', callers: 64, share: 0, beside: 'off', goal: 1 },
];

/** Group commit (protocol 16) where every write is synced before it is acknowledged. */
export const durableScenario: Scenario = {
  name: 'durable',
  title: 'Appending with `sync_interval: always`',
  run: async (options) => {
    const one = await startTestServer({ syncAlways: true });
    const rows = await measureOn(one, one.url, 1, ON_ONE, options);
    const three = await startTestCluster({ syncAlways: true });
    return [...rows, ...(await measureOn(three, three.urls.join(','), 3, ON_THREE, options))];
  },
};

async function measureOn(
  servers: AsyncDisposable,
  url: string,
  replicas: number,
  loads: readonly Load[],
  options: BenchOptions,
): Promise<ResultRow[]> {
  await using _servers = servers;
  await createLogStream(url, undefined, replicas);
  await using product = await openTestLog(url);
  await using off = await openTestLog(url, TEST_LOG, { ...boundsOf(true), groupCommit: 'off' });
  await using bare = await openBare(url);
  await using plain = await openPlainGroupCommit(url);
  await using rival = await startRival(url);
  const seconds = secondsOf(options.scale);
  const others = {
    publish: publishThrough(bare.js),
    plain: plain.append,
    off: appendThrough(off.log),
  };
  const rows: ResultRow[] = [];
  for (const load of loads) {
    options.print(load.name);
    const measured = await interleaved(options.rounds, {
      product: () => under(load, seconds, rival, appendThrough(product.log)),
      bare: () => under(load, seconds, rival, others[load.beside ?? 'publish']),
    });
    const pairs = measured.product.map((own, round) => own / (measured.bare[round] ?? Number.NaN));
    rows.push({
      name: load.name,
      ...(load.goal === undefined ? {} : { goal: load.goal }),
      ratio: ratioOf(measured.product, measured.bare),
      product: rounded(measured.product),
      baseline: rounded(measured.bare),
      unit: 'commits/s',
      note: `pairs: ${statText(statOf(pairs))}`,
    });
  }
  return rows;
}

/** Commits that were stored per second, while the rival spoils a share of the attempts. */
async function under(
  { callers, share }: Load,
  seconds: number,
  rival: Rival,
  append: (aggregate: Aggregate) => Promise<boolean>,
): Promise<number> {
  const own = Array.from({ length: callers }, () => freshAggregates(EACH));
  let stored = 0;
  const ids = own.flat().map(({ id }) => id);
  const stop = share === 0 ? () => undefined : rival.follow(ids, share, () => stored);
  try {
    return await perSecond(callers, seconds, async (caller) => {
      const aggregates = own[caller] ?? [];
      const aggregate = aggregates[Math.floor(Math.random() * aggregates.length)];
      if (aggregate === undefined) return false;
      const done = await append(aggregate);
      if (done) stored++;
      return done;
    });
  } finally {
    stop();
  }
}
