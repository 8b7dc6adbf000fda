import { jetstreamManager } from '@nats-io/jetstream';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { createNatsSnapshotArchive } from '../../src/eventstore/nats/snapshot-archive.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startRemake } from '../../src/eventstore/snapshots/remake.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { ratioOf, rounded, scaled, secondsOf } from './measure.ts';
import { boundsOf } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';
import { tally } from './tally.ts';

const AGGREGATES = 200_000;
const LEAST = 2_000;
/** Commits of each aggregate. */
const HISTORY = 10;
/** Commands come at this pace, whether those before are answered or not. */
const COMMANDS_PER_SECOND = 100;
/** This share of the commands goes to this share of the aggregates, which were used last before the deploy. */
const [HOT_COMMANDS, HOT_AGGREGATES] = [0.9, 0.01];
/** How long the commands before and after are watched, in seconds, before `scale`. */
const WATCHED_SECONDS = 30;
const SHORTEST_SECONDS = 5;
const BUCKET = 'bench_deploy';

/** A release that folds differently meets the snapshots of the one before. */
export const deployScenario: Scenario = {
  name: 'deploy',
  title: 'Commands at a steady pace through a deploy that changes a fold, default sync',
  run: async (options) => {
    const sides: Record<'off' | 'on', Measured[]> = { off: [], on: [] };
    for (let round = 0; round < options.rounds; round++) {
      sides.off.push(await measure(options, 0));
      sides.on.push(await measure(options, defaultPace));
    }
    return rowsOf(sides);
  },
};

/** As the service has it. */
const defaultPace = 200;

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

interface Measured {
  readonly before: Percentiles;
  readonly during: Percentiles;
  readonly after: Percentiles;
  readonly seconds: number;
}

async function measure({ scale, print }: BenchOptions, perSecond: number): Promise<Measured> {
  await using server = await startTestServer({ syncAlways: false });
  await createLogStream(server.url);
  const handle = await openTestLog(server.url, TEST_LOG, boundsOf(false));
  await using _closed = handle;
  const ids = Array.from({ length: scaled(AGGREGATES, scale, LEAST) }, (_, n) => `t-${n}`);
  const kind = { replicas: 1, storage: 'file', persist: 'async', maxBytes: 2 ** 30 } as const;
  await ensureBucket(await jetstreamManager(handle.connection), BUCKET, kind);
  const old = startHandler(handle, 1);
  await fill(old, ids);
  const watchedMs = 1_000 * Math.max(SHORTEST_SECONDS, (WATCHED_SECONDS * secondsOf(scale)) / secondsOf(1));
  await commandsFor(old, ids, watchedMs);
  const before = percentiles(await commandsFor(old, ids, watchedMs));
  await old.handler.close();

  const next = startHandler(handle, 2);
  const startedAt = performance.now();
  let ended: number | undefined;
  const remake =
    perSecond === 0
      ? undefined
      : startRemake({
          ...next.remake,
          settings: { perSecond },
          observer: {
            failed: (error) => print(`a turn has failed: ${String(error)}`),
            ended: () => {
              ended = (performance.now() - startedAt) / 1_000;
            },
          },
        });
  const during: number[] = [];
  do during.push(...(await commandsFor(next, ids, watchedMs)));
  while (remake !== undefined && ended === undefined);
  const after = percentiles(await commandsFor(next, ids, watchedMs));
  await remake?.stop();
  await next.handler.close();
  const result = { before, during: percentiles(during), after, seconds: ended ?? Number.NaN };
  print(`${ids.length} aggregates, ${perSecond} per second: ${JSON.stringify(result)}`);
  return result;
}

type Release = ReturnType<typeof startHandler>;

function startHandler({ log, requests }: LogHandle, foldRevision: number) {
  const runtime = systemRuntime;
  const store = createNatsSnapshotStore({ requests, bucket: BUCKET, timeoutMs: 1_000 });
  const archive = createNatsSnapshotArchive({ requests, runtime, bucket: BUCKET, timeoutMs: 5_000 });
  const onWrong = (): never => {
    throw new Error('a snapshot is not the fold of the log');
  };
  // A tenth of the aggregates is in the cache of a process, as in a service that has more than fit.
  const settings = { deadlineMs: 60_000, cacheEntries: AGGREGATES / 10 };
  const decider = { ...tally, foldRevision };
  const handler = createHandler({ log, runtime, settings, snapshots: { store, onWrong } });
  return { decider, handler, remake: { deciders: [decider], store, archive, log, runtime } };
}

async function fill(release: Release, ids: readonly string[]): Promise<void> {
  // Those that will be hot come last, as they would have been used last.
  const order = [...ids].reverse();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let id = order[next++]; id !== undefined; id = order[next++])
      for (let n = 0; n < HISTORY; n++) await execute(release, id);
  };
  await Promise.all(Array.from({ length: 128 }, work));
}

async function execute({ decider, handler }: { decider: typeof tally; handler: Handler }, id: string) {
  const meta = { commandId: systemRuntime.id(), actor: 'bench' };
  const result = await handler.execute(decider, id, { events: 1 }, meta);
  if (result.outcome !== 'accepted') throw new Error(`a command was answered ${result.outcome}`);
}

/** The time of each command from when it was due, in milliseconds. */
async function commandsFor(release: Release, ids: readonly string[], ms: number): Promise<number[]> {
  const times: number[] = [];
  const running: Promise<void>[] = [];
  const startedAt = performance.now();
  const hot = Math.max(1, Math.floor(ids.length * HOT_AGGREGATES));
  for (let n = 0; (n * 1_000) / COMMANDS_PER_SECOND < ms; n++) {
    const dueAt = startedAt + (n * 1_000) / COMMANDS_PER_SECOND;
    const wait = dueAt - performance.now();
    if (wait > 1) await systemRuntime.sleep(wait);
    const among = Math.random() < HOT_COMMANDS ? hot : ids.length;
    const id = ids[Math.floor(Math.random() * among)] ?? '';
    const command = execute(release, id).then(() => {
      times.push(performance.now() - dueAt);
    });
    running.push(command);
  }
  await Promise.all(running);
  return times;
}

function percentiles(times: readonly number[]): Percentiles {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { p50: Math.round(at(0.5) * 100) / 100, p99: Math.round(at(0.99) * 100) / 100 };
}

function rowsOf(sides: Readonly<Record<'off' | 'on', readonly Measured[]>>): ResultRow[] {
  const row = (name: string, of: readonly Measured[], when: 'during' | 'after', goal?: number): ResultRow => {
    const above = of.map((each) => each[when].p99);
    const below = of.map(({ before }) => before.p99);
    return {
      name,
      ratio: ratioOf(above, below),
      ...(goal !== undefined && { goal }),
      lowerIsBetter: true,
      product: rounded(above),
      baseline: rounded(below),
      unit: 'ms',
    };
  };
  return [
    row('p99 while snapshots are made anew / before the deploy', sides.on, 'during', 2),
    row('p99 when all are made / before the deploy', sides.on, 'after'),
    row('p99 after the deploy without it / before', sides.off, 'during'),
    {
      name: 'until all snapshots are made anew',
      product: rounded(sides.on.map(({ seconds }) => seconds)),
      unit: 's',
    },
  ];
}
