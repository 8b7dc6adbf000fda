import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { createPrng } from '../../src/testing/world.ts';
import { type AccountCommand, account } from './account.ts';
import { checkHistory } from './checker.ts';
import type { Chaos, Fault } from './faults.ts';
import { type Operation, readHistory } from './history.ts';
import { type Breakage, type Confirm, type GroupCommit, openAuditLog } from './open-log.ts';
import type { StoredLog } from './replay.ts';
import { type AuditReport, addViolation, isClean } from './report.ts';
import { startTopology, type Topology, type TopologyName } from './topology.ts';
import type { Load } from './writer.ts';
import { startWriters, type Writers } from './writers.ts';

export interface AuditOptions {
  readonly topology: TopologyName;
  /** How long faults are injected. */
  readonly seconds: number;
  readonly seed: number;
  readonly writers: number;
  /** Faults in this order, over and over; random ones of all kinds by default. */
  readonly faults?: readonly string[] | undefined;
  readonly broken?: Breakage | undefined;
  readonly groupCommit?: GroupCommit | undefined;
  readonly confirm?: Confirm | undefined;
  readonly load?: Load | undefined;
  /** Told one line for each fault and phase. */
  readonly onProgress?: ((line: string) => void) | undefined;
}

export interface AuditResult {
  readonly report: AuditReport;
  /** How often each fault was injected. */
  readonly faults: ReadonlyMap<string, number>;
  /** How often each kind of fault was answered to a writer. */
  readonly errors: ReadonlyMap<string, number>;
  /** Where the histories are kept when something is wrong. */
  readonly kept: string | undefined;
}

export const defaultLoad: Load = { hot: 6, cold: 2_000, callers: 6, readers: 1, pauseMs: 40 };

const STOP_MS = 20_000;
const READ_PATIENCE_MS = 120_000;
const READ_ATTEMPT_MS = 40_000;

/** Lets writer processes work on a real log under faults, then judges what they were told. */
export async function runAudit(options: AuditOptions): Promise<AuditResult> {
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-audit-'));
  const progress = options.onProgress ?? (() => undefined);
  await using topology = await startTopology(options.topology);
  const writers = await startWriters({
    count: options.writers,
    urls: topology.proxied,
    seed: options.seed,
    load: options.load ?? defaultLoad,
    folder,
    broken: options.broken,
    groupCommit: options.groupCommit,
    confirm: options.confirm,
  });
  let faults: ReadonlyMap<string, number>;
  try {
    await writers.ready();
    faults = await injectFaults(options, topology, writers, progress);
    progress('healing');
    await topology.heal();
    await delay(500);
  } finally {
    await writers.stop(STOP_MS);
  }
  progress('reading the log back');
  const { head, ...log } = await readBack(topology.urls);
  const histories = writers.histories.map((file) => readHistory<AccountCommand>(file));
  const operations = histories.flatMap((history) => history.operations);
  const reads = histories.flatMap((history) => history.reads);
  const report = checkHistory(account, { operations, reads }, log);
  const found = log.commits.length + log.controls;
  if (found !== head) addViolation(report, 'log', `${found} messages were found of ${head}`);
  for (const wrong of writers.wrongSnapshots) addViolation(report, 'snapshot', wrong);
  const clean = isClean(report);
  if (clean) await rm(folder, { recursive: true, force: true });
  return { report, faults, errors: countErrors(operations), kept: clean ? undefined : folder };
}

async function injectFaults(
  options: AuditOptions,
  topology: Topology,
  writers: Writers,
  progress: (line: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const random = createPrng(options.seed);
  const chaos: Chaos = {
    random,
    lasting: (from, to) => delay((from + random() * (to - from)) * 1_000),
  };
  const all: Record<string, Fault> = {
    ...topology.faults,
    calm: ({ lasting }) => lasting(0.5, 4),
    'kill-writer': ({ random: dice }) => writers.replace(Math.floor(dice() * options.writers)),
  };
  const names = Object.keys(all);
  const counts = new Map<string, number>();
  const start = Date.now();
  const end = start + options.seconds * 1_000;
  await chaos.lasting(1, 2);
  for (let n = 0; Date.now() < end; n++) {
    const name =
      options.faults?.[n % options.faults.length] ?? names[Math.floor(random() * names.length)] ?? '';
    const fault = all[name];
    if (fault === undefined) throw new RangeError(`There is no fault ${name}; there are ${names.join(', ')}`);
    progress(`${((Date.now() - start) / 1_000).toFixed(1).padStart(7)} s  ${name}`);
    await fault(chaos);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    await chaos.lasting(0.5, 2);
  }
  return counts;
}

/**
 * The whole log, past the proxies. A cluster that has just healed may need some attempts, and a replica that cannot
 * read its own files delivers nothing for ever: then what there is is judged.
 */
async function readBack(urls: readonly string[]): Promise<StoredLog & { readonly head: number }> {
  const giveUpAt = Date.now() + READ_PATIENCE_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      // Not one server for ever: after a partition a replica was seen to say "unavailable" for minutes.
      const url = urls[attempt % urls.length] ?? '';
      await using opened = await openAuditLog({ urls: [url] });
      const [head, controls] = [numberOf(await opened.log.head()), await opened.controls()];
      const commits: RecordedCommit[] = [];
      const signal = AbortSignal.timeout(READ_ATTEMPT_MS);
      for await (const batch of opened.log.scan({ after: BEGINNING, signal })) commits.push(...batch.commits);
      if (commits.length + controls === head || Date.now() > giveUpAt) return { commits, controls, head };
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
    }
    await delay(200);
  }
}

function countErrors(operations: readonly Operation<unknown>[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { outcome } of operations) {
    if (outcome?.kind !== 'unknown' && outcome?.kind !== 'not-sent') continue;
    counts.set(outcome.code, (counts.get(outcome.code) ?? 0) + 1);
  }
  return counts;
}
