import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { backupCommand } from '../../src/cli/backup.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { appendOne, idOf, inFlight, unwritten } from './aggregates.ts';
import { type Opened, openAll, snapshotKeyOf } from './connect.ts';
import { ALIVE } from './load.ts';
import { processorMs, residentMiB } from './machine.ts';
import { footprintOf, restartAll } from './restarts.ts';
import { quantile } from './statistics.ts';
import type { Target } from './tasks.ts';
import type { ScaleLog } from './world.ts';

const SAMPLES = 20;
/** Until the server has put away what a sample left, so that its CPU counts for that sample. */
const SETTLE_MS = 40;
/** Longer than a block stays in the server's memory, and shorter than its index does. */
const FORGET_BLOCKS_MS = 20_000;
const WARM_UP_SECONDS = 8;
const WARM_UP_IN_FLIGHT = 16;
const RESTARTS = 2;

/** What an aggregate's state on the server costs, how a log warms itself, and how long a restart and a copy take. */
export async function measureStates(log: ScaleLog, progress: (line: string) => void): Promise<string> {
  const lines: string[] = [];
  const say = (line: string): void => {
    lines.push(`- ${line}`);
    progress(line);
  };
  await sayFootprint(log, 'after writing', say);
  await sayRestarts(log, say);
  await sayStates(log, say);
  await sayWarmUp(log, say);
  await sayWhole(log, say);
  return lines.join('\n');
}

type Say = (line: string) => void;

async function sayFootprint(log: ScaleLog, when: string, say: Say): Promise<void> {
  const { commits, seconds } = log.loaded;
  const { memory = Number.NaN, disk } = await footprintOf(log);
  const wrote = `${commits.toLocaleString('en')} commits and the snapshots, written in ${seconds.toFixed(0)} s`;
  say(`${when}: ${wrote}; disk ${disk.toFixed(0)} MiB, server RSS ${memory.toFixed(0)} MiB`);
}

async function sayRestarts(log: ScaleLog, say: Say): Promise<void> {
  const restarts = (await restartAll([log], RESTARTS, () => undefined)).get(log);
  const seconds = (all: readonly { startMs: number }[] = []) =>
    all.map(({ startMs }) => (startMs / 1_000).toFixed(2)).join(', ');
  say(`start after SIGTERM ${seconds(restarts?.clean)} s, after kill -9 ${seconds(restarts?.killed)} s`);
  say(`server RSS right after a start: ${restarts?.memory.map((mib) => mib?.toFixed(0)).join(', ')} MiB`);
}

/** The three states, by what the check of an expected version does: a look for the aggregate's last message. */
async function sayStates(log: ScaleLog, say: Say): Promise<void> {
  // Last commits of aggregates that were alive together lie in the same blocks.
  const count = Math.min(SAMPLES, Math.ceil(log.size / ALIVE));
  const [appended, looked, snapshots] = [1, 2, 3].map((turn) => log.targets.spread(count, turn));
  await afterStart(log, say, async (opened, each) => {
    await each('append, aggregate never touched', appended, (target) => again(opened, target));
  });
  await afterStart(log, say, async (opened, each) => {
    const look = (target: Target): Promise<void> => lastOf(opened, target);
    await each('last message, never touched', looked, look);
    await each('last message, in memory', looked?.slice(-1), look);
    await delay(FORGET_BLOCKS_MS);
    await each('last message, touched within two minutes', looked, look);
  });
  await afterStart(log, say, async (opened, each) => {
    const fresh = Array.from({ length: SAMPLES }, (_, i) => ({ id: idOf('fresh', i), version: 0 }));
    await each('append, new aggregate', fresh, (target) => again(opened, target));
    const hot = unwritten(idOf('fresh', SAMPLES));
    await each('append, aggregate just written', fresh, () => appendOne(opened.log, hot));
    await each('snapshot, never touched', snapshots, ({ id }) => opened.store.get(snapshotKeyOf(id)));
  });
}

type Each = (
  what: string,
  targets: readonly Target[] | undefined,
  work: (target: Target) => Promise<unknown>,
) => Promise<void>;

/** On a server that has loaded nothing but what a first append needs. */
async function afterStart(
  log: ScaleLog,
  say: Say,
  work: (opened: Opened, each: Each) => Promise<void>,
): Promise<void> {
  await log.server.restart('SIGTERM', false);
  await using opened = await openAll(log.server.url());
  const first = { id: idOf('fresh', Math.floor(performance.now()) + SAMPLES), version: 0 };
  await again(opened, first);
  await work(opened, async (what, targets = [], one) => say(`${what}: ${await costs(log, targets, one)}`));
  await sayMemory(log, 'after these', say);
}

async function lastOf({ connection }: Opened, { id }: Target): Promise<void> {
  const last = { last_by_subj: subjectOf(TEST_LOG.prefix, unwritten(id).stream) };
  await connection.request(`$JS.API.DIRECT.GET.${TEST_LOG.stream}`, JSON.stringify(last), {
    timeout: 60_000,
  });
}

async function again({ log }: Opened, { id, version }: Target): Promise<void> {
  const member = unwritten(id);
  member.folded.version = version;
  await appendOne(log, member);
}

/** CPU of the server for each sample, and how long it took, one after the other. */
async function costs(
  { server }: ScaleLog,
  targets: readonly Target[],
  work: (target: Target) => Promise<unknown>,
): Promise<string> {
  const cpu: number[] = [];
  const took: number[] = [];
  for (const target of targets) {
    const before = await processorMs(server.pid());
    const startedAt = performance.now();
    await work(target);
    took.push(performance.now() - startedAt);
    await delay(SETTLE_MS);
    cpu.push((await processorMs(server.pid())) - before);
  }
  const shown = (values: readonly number[], share: number): string => quantile(values, share).toFixed(2);
  const cost = `${shown(cpu, 0.5)} (${shown(cpu, 0)} to ${shown(cpu, 1)}) ms of server CPU`;
  return `${cost}; took ${shown(took, 0)} at least, p50 ${shown(took, 0.5)}, p99 ${shown(took, 0.99)} ms`;
}

async function sayMemory({ server }: ScaleLog, when: string, say: Say): Promise<void> {
  say(`server RSS ${when}: ${(await residentMiB(server.pid()))?.toFixed(0)} MiB`);
}

/** Appends to aggregates never touched before, as traffic across all of the log does. */
async function sayWarmUp(log: ScaleLog, say: Say): Promise<void> {
  await log.server.restart('SIGTERM', false);
  await using opened = await openAll(log.server.url());
  const perSecond: number[] = [];
  const startedAt = performance.now();
  const elapsed = (): number => Math.floor((performance.now() - startedAt) / 1_000);
  function* targets(): Generator<Target> {
    for (
      let next = log.targets.next();
      next !== undefined && elapsed() < WARM_UP_SECONDS;
      next = log.targets.next()
    )
      yield next;
  }
  await inFlight(WARM_UP_IN_FLIGHT, targets(), async (target) => {
    await again(opened, target);
    const second = elapsed();
    perSecond[second] = (perSecond[second] ?? 0) + 1;
  });
  say(
    `appends of each second, ${WARM_UP_IN_FLIGHT} in flight: ${perSecond.slice(0, WARM_UP_SECONDS).join(', ')}`,
  );
  await sayMemory(log, 'after that', say);
}

/** What reads all of it: a replay, as each view does that is built anew, and a backup. */
async function sayWhole(log: ScaleLog, say: Say): Promise<void> {
  {
    await using opened = await openAll(log.server.url());
    const startedAt = performance.now();
    for await (const batch of opened.log.scan({ after: BEGINNING })) numberOf(batch.through);
    say(`a replay of the log without folding: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  }
  const folder = `${log.folder}-backup`;
  const startedAt = performance.now();
  const server = { url: log.server.url(), monitorUrl: '' };
  const { code, text } = await runInProcess(server, backupCommand, [folder]);
  if (code !== 0) throw new Error(text);
  say(`a backup: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  await rm(folder, { recursive: true });
  await sayMemory(log, 'after both', say);
}
