import { residentMiB } from './machine.ts';
import { type ServiceProcess, startService } from './service.ts';
import { TASK_NAMES } from './targets.ts';
import type { TaskName } from './tasks.ts';
import type { ScaleLog } from './world.ts';

/** Durations in milliseconds of one task, a list for each round. */
export type Rounds = readonly (readonly number[])[];

/** Resident memory in MiB; undefined where the operating system does not say. */
export interface Memory {
  /** The server after all rounds. */
  readonly server: number | undefined;
  /** The server after reading aggregates whose commits lie across the whole log. */
  readonly serverAllRead: number | undefined;
  /** The service before the first round. */
  readonly serviceStarted: number | undefined;
  /** The service after all rounds. */
  readonly service: number | undefined;
  /** The service with `cached` states in its cache. */
  readonly serviceFilled: number | undefined;
  readonly cached: number;
}

/** What was measured on one log. */
export interface Measured {
  readonly latencies: ReadonlyMap<TaskName, Rounds>;
  readonly memory: Memory;
}

const CACHE = 100_000;
/** Comes last, since it leaves the whole log in the server's memory for a while, which makes the others fast. */
const READS_ALL_BLOCKS: TaskName = 'long-log-scattered';

/** Measures every task on every log, round by round, the logs taking turns so that all see the same noise. */
export async function measureAll(
  logs: readonly ScaleLog[],
  rounds: number,
  progress: (line: string) => void,
): Promise<ReadonlyMap<ScaleLog, Measured>> {
  const running: Running[] = [];
  try {
    for (const log of logs) {
      const service = await startService(log.server.url());
      running.push({ log, service, serviceStarted: await residentMiB(service.pid), latencies: new Map() });
    }
    for (let round = 0; round <= rounds; round++) {
      progress(round === 0 ? '  warming up' : `  round ${round} of ${rounds}`);
      for (const name of TASK_NAMES) if (name !== READS_ALL_BLOCKS) await measure(running, name, round);
    }
    const server = new Map<ScaleLog, number | undefined>();
    for (const { log } of running) server.set(log, await residentMiB(log.server.pid()));
    progress('  aggregates across the whole log');
    for (let round = 1; round <= rounds; round++) await measure(running, READS_ALL_BLOCKS, round);
    const measured = new Map<ScaleLog, Measured>();
    for (const each of running) {
      const memory = await memoryOf(each, server.get(each.log));
      measured.set(each.log, { latencies: each.latencies, memory });
    }
    return measured;
  } finally {
    await Promise.all(running.map(({ service }) => service[Symbol.asyncDispose]()));
  }
}

interface Running {
  readonly log: ScaleLog;
  readonly service: ServiceProcess;
  readonly serviceStarted: number | undefined;
  readonly latencies: Map<TaskName, (readonly number[])[]>;
}

async function measure(running: readonly Running[], name: TaskName, round: number): Promise<void> {
  for (const { log, service, latencies } of turnedBy(round, running)) {
    const samples = await service.ask({ measure: log.targets.task(name) });
    // The first round only warms up code and files.
    if (round > 0) latencies.set(name, [...(latencies.get(name) ?? []), samples]);
  }
}

async function memoryOf(each: Running, server: number | undefined): Promise<Memory> {
  const { log, service, serviceStarted } = each;
  const [serverAllRead, measured] = [await residentMiB(log.server.pid()), await residentMiB(service.pid)];
  const ids = log.targets.ids(CACHE);
  await service.ask({ fill: ids });
  const serviceFilled = await residentMiB(service.pid);
  return { server, serverAllRead, serviceStarted, service: measured, serviceFilled, cached: ids.length };
}

function turnedBy<T>(by: number, list: readonly T[]): readonly T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
