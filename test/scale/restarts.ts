import { appendOne, idOf, inFlight, unwritten } from './aggregates.ts';
import { openAll } from './connect.ts';
import { diskMiB, residentMiB } from './machine.ts';
import type { Restart } from './server.ts';
import type { ScaleLog } from './world.ts';

/** What is known of a server without a service: memory and disk in MiB. */
export interface Footprint {
  readonly memory: number | undefined;
  readonly disk: number;
}

/** Memory and disk of a server as it is now. */
export async function footprintOf(log: ScaleLog): Promise<Footprint> {
  return { memory: await residentMiB(log.server.pid()), disk: await diskMiB(log.folder) };
}

/** Restarts of one log's server. */
export interface Restarts {
  /** After SIGTERM. */
  readonly clean: Restart[];
  /** After commits and SIGKILL. */
  readonly killed: Restart[];
  /** The server's memory in MiB right after each clean one. */
  readonly memory: (number | undefined)[];
}

const UNCLEAN_COMMITS = 2_000;
const IN_FLIGHT = 64;

/** Restarts every server `times` times in both ways, the logs taking turns. */
export async function restartAll(
  logs: readonly ScaleLog[],
  times: number,
  progress: (line: string) => void,
): Promise<ReadonlyMap<ScaleLog, Restarts>> {
  const found = new Map<ScaleLog, Restarts>(logs.map((log) => [log, { clean: [], killed: [], memory: [] }]));
  for (let time = 0; time < times; time++) {
    progress(`  restart ${time + 1} of ${times}`);
    for (const [{ server }, { clean, killed, memory }] of found) {
      clean.push(await server.restart('SIGTERM', false));
      memory.push(await residentMiB(server.pid()));
      await writeCommits(server.url(), time);
      killed.push(await server.restart('SIGKILL', false));
    }
  }
  return found;
}

/** Writes what a killed server has not yet put into its index. */
async function writeCommits(url: string, time: number): Promise<void> {
  await using opened = await openAll(url);
  const members = Array.from({ length: UNCLEAN_COMMITS }, (_, i) =>
    unwritten(idOf('before-kill', time * UNCLEAN_COMMITS + i)),
  );
  await inFlight(IN_FLIGHT, members, (member) => appendOne(opened.log, member));
}
