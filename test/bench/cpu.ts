import { readFile } from 'node:fs/promises';
import { statOf } from './result.ts';

/** What `/proc` counts CPU in: hundredths of a second, on every Linux. */
const TICK_US = 10_000;

/** A side of a measurement that also takes in what its operations cost. */
export interface Metered {
  /** One measurement; operations a second. */
  run(): Promise<number>;
  /** Microseconds of CPU an operation took here and in the servers: the medians of all measurements but the first. */
  cost(): { readonly client: number; readonly server: number };
}

/** @param pids of the servers, whose descendants count as they do @param seconds how long `side` measures */
export function metered(pids: readonly number[], seconds: number, side: () => Promise<number>): Metered {
  const [client, server]: [number[], number[]] = [[], []];
  return {
    run: async () => {
      const [ownBefore, theirsBefore] = [process.cpuUsage(), await serverUs(pids)];
      const rate = await side();
      const { user, system } = process.cpuUsage(ownBefore);
      const operations = rate * seconds;
      client.push((user + system) / operations);
      server.push(((await serverUs(pids)) - theirsBefore) / operations);
      return rate;
    },
    cost: () => ({ client: statOf(measured(client)).median, server: statOf(measured(server)).median }),
  };
}

/** Of both sides, as a row's note. */
export function costNote(own: Metered, other: Metered): string {
  const text = (side: Metered): string => {
    const { client, server } = side.cost();
    return `${whole(client)} + ${whole(server)}`;
  };
  return `CPU us, client + server: ${text(own)} beside ${text(other)}`;
}

/** The first one warms up. */
const measured = (all: readonly number[]): readonly number[] => (all.length > 1 ? all.slice(1) : all);

const whole = (us: number): string => (us < 10 ? us.toFixed(1) : Math.round(us).toLocaleString('en-US'));

async function serverUs(pids: readonly number[]): Promise<number> {
  let us = 0;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // Behind the name, which may hold anything: state, then the fields from the fourth on.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    us += TICK_US * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0));
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    us += await serverUs(children.split(' ').filter(Boolean).map(Number));
  }
  return us;
}
