import { appendOne, idOf, inFlight, unwritten } from './aggregates.ts';
import { openAll } from './connect.ts';
import { diskMiB, residentMiB } from './machine.ts';
import type { Ending, Restart } from './server.ts';
import { type ServiceProcess, startService } from './service.ts';
import { TASK_NAMES } from './targets.ts';
import type { TaskName } from './tasks.ts';
import type { ScaleLog } from './world.ts';

/** Durations in milliseconds of one task, a list for each round. */
export type Rounds = readonly (readonly number[])[];

/** Memory in MiB; undefined where the operating system does not say. */
export interface Memory {
  readonly serverAfter: number | undefined;
  readonly serviceBefore: number | undefined;
  readonly serviceAfter: number | undefined;
  readonly serviceFilled: number | undefined;
  /** States in the cache of the filled service. */
  readonly cached: number;
}

/** What was measured on one log. */
export interface Measured {
  readonly latencies: ReadonlyMap<TaskName, Rounds>;
  readonly memory: Memory;
}

const CACHE = 100_000;
const UNCLEAN_COMMITS = 2_000;

/** Measures every task on every log, round by round, the logs taking turns so that all see the same noise. */
export async function measureAll(
  logs: readonly ScaleLog[],
  rounds: number,
  progress: (line: string) => void,
): Promise<ReadonlyMap<ScaleLog, Measured>> {
  const services = new Map<ScaleLog, ServiceProcess>();
  try {
    for (const log of logs) services.set(log, await startService(log.server.url()));
    const before = new Map<ScaleLog, number | undefined>();
    for (const [log, { pid }] of services) before.set(log, await residentMiB(pid));
    const latencies = new Map(logs.map((log) => [log, new Map<TaskName, number[][]>()]));
    for (let round = 0; round <= rounds; round++) {
      progress(round === 0 ? '  warming up' : `  round ${round} of ${rounds}`);
      for (const name of TASK_NAMES) {
        for (const [log, service] of turnedBy(round, [...services])) {
          const samples = await service.ask({ measure: log.targets.task(name) });
          // The first round only warms up code and files.
          if (round === 0) continue;
          const all = latencies.get(log);
          all?.set(name, [...(all.get(name) ?? []), [...samples]]);
        }
      }
    }
    const measured = new Map<ScaleLog, Measured>();
    for (const [log, service] of services) {
      const memory = await memoryOf(log, service, before.get(log));
      measured.set(log, { latencies: latencies.get(log) ?? new Map(), memory });
    }
    return measured;
  } finally {
    await Promise.all([...services.values()].map((service) => service[Symbol.asyncDispose]()));
  }
}

async function memoryOf(
  log: ScaleLog,
  service: ServiceProcess,
  serviceBefore: number | undefined,
): Promise<Memory> {
  const serverAfter = await residentMiB(log.server.pid());
  const serviceAfter = await residentMiB(service.pid);
  const ids = log.targets.ids(CACHE);
  await service.ask({ fill: ids });
  const serviceFilled = await residentMiB(service.pid);
  return { serverAfter, serviceBefore, serviceAfter, serviceFilled, cached: ids.length };
}

/** What is known of a server without a service: memory and disk in MiB. */
export interface Footprint {
  readonly memory: number | undefined;
  readonly disk: number;
}

/** Memory and disk of a server as it is now. */
export async function footprintOf(log: ScaleLog): Promise<Footprint> {
  return { memory: await residentMiB(log.server.pid()), disk: await diskMiB(log.folder) };
}

/** Restarts of one log's server, and its memory right after a clean one. */
export interface Restarts {
  readonly clean: readonly Restart[];
  readonly killed: readonly Restart[];
  readonly memoryAfter: number | undefined;
}

/** Restarts every server `times` times in both ways, the logs taking turns; commits are written before each kill. */
export async function restartAll(
  logs: readonly ScaleLog[],
  times: number,
  progress: (line: string) => void,
): Promise<ReadonlyMap<ScaleLog, Restarts>> {
  const found = new Map(
    logs.map((log) => [
      log,
      { clean: [] as Restart[], killed: [] as Restart[], memoryAfter: 0 as number | undefined },
    ]),
  );
  for (let time = 0; time < times; time++) {
    progress(`  restart ${time + 1} of ${times}`);
    for (const [log, restarts] of found) {
      restarts.clean.push(await restarted(log, 'SIGTERM'));
      restarts.memoryAfter = await residentMiB(log.server.pid());
      await writeBeforeKill(log, time);
      restarts.killed.push(await restarted(log, 'SIGKILL'));
    }
  }
  return found;
}

function restarted({ server }: ScaleLog, ending: Ending): Promise<Restart> {
  return server.restart(ending, false);
}

async function writeBeforeKill({ server }: ScaleLog, time: number): Promise<void> {
  await using opened = await openAll(server.url());
  const members = Array.from({ length: UNCLEAN_COMMITS }, (_, i) =>
    unwritten(idOf('fresh', -1 - i - time * UNCLEAN_COMMITS)),
  );
  await inFlight(64, members, (member) => appendOne(opened.log, member));
}

function turnedBy<T>(by: number, list: readonly T[]): readonly T[] {
  const at = by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
