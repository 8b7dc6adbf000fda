import { until } from '../../src/testing/until.ts';
import { type Running, runCommand, startCommand, type Variables } from '../support/service-process.ts';

/** Several service processes on one NATS server, each on a port of its own. */
export interface Fleet extends AsyncDisposable {
  readonly size: number;
  /** The address of an instance that runs or is paused, by chance. @param random in [0, 1) */
  pick(random: () => number): string;
  /** Ends an instance with SIGKILL and starts it again; resolves when it answers. */
  kill(index: number): Promise<void>;
  /** Starts an instance that was ended with `end`. */
  start(index: number): Promise<void>;
  /** Ends an instance with SIGKILL for good, or until `start`. */
  end(index: number): Promise<void>;
  /** Holds an instance, as a machine does that hangs. */
  pause(index: number, during: () => Promise<void>): Promise<void>;
  /** What the instances logged as errors and worse, by message, those that were killed included. */
  complaints(): ReadonlyMap<string, number>;
}

interface Instance extends Running {
  readonly url: string;
}

const START_MS = 60_000;
const STARTS = 5;
const APPLY_MS = 60_000;
const ERROR_LEVEL = 50;

/** Creates the streams and starts the instances. @param variables configuration, `NATS_URL` included */
export async function startFleet(size: number, variables: Variables): Promise<Fleet> {
  const applied = await runCommand(['topology', 'apply', '--new-log'], variables, APPLY_MS);
  if (applied.code !== 0) throw new Error(`the streams were not made: ${applied.stdout}${applied.stderr}`);
  const slots: (Instance | undefined)[] = Array.from({ length: size }, () => undefined);
  const complaints = new Map<string, number>();

  const start = async (index: number): Promise<void> => {
    const name = `instance-${index + 1}`;
    slots[index] = await startInstance({ ...variables, JETLEDGER_SERVICE__NAME: name });
  };
  const end = async (index: number): Promise<void> => {
    const instance = slots[index];
    slots[index] = undefined;
    if (instance === undefined) return;
    instance.signal('SIGKILL');
    const { stdout } = await instance.ended();
    collect(stdout, complaints);
  };
  const fleet: Fleet = {
    size,
    pick: (random) => {
      const running = slots.filter((slot) => slot !== undefined);
      const found = running[Math.floor(random() * running.length)];
      if (found === undefined) throw new Error('no instance runs');
      return found.url;
    },
    kill: async (index) => {
      await end(index);
      await start(index);
    },
    start,
    end,
    pause: async (index, during) => {
      slots[index]?.signal('SIGSTOP');
      try {
        await during();
      } finally {
        slots[index]?.signal('SIGCONT');
      }
    },
    complaints: () => {
      const all = new Map(complaints);
      for (const slot of slots) collect(slot?.output().stdout ?? '', all);
      return all;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(slots.map((_, index) => end(index)));
    },
  };
  try {
    await Promise.all(slots.map((_, index) => start(index)));
    return fleet;
  } catch (error) {
    await fleet[Symbol.asyncDispose]();
    throw error;
  }
}

/** An instance that answers; one that refuses to start, because NATS is away just now, is started again. */
async function startInstance(variables: Variables): Promise<Instance> {
  let said = '';
  for (let tries = 0; tries < STARTS; tries++) {
    const running = await startCommand(['serve'], variables);
    let url = '';
    const answers = (): boolean => {
      url = /JetLedger answers at (http:\S+?),? /.exec(running.output().stdout)?.[1] ?? '';
      return url !== '' || !running.alive();
    };
    await until('an instance answers', answers, START_MS).catch(() => undefined);
    if (url !== '') return { ...running, url };
    said = `${running.output().stdout}${running.output().stderr}`;
    await running[Symbol.asyncDispose]();
  }
  throw new Error(`an instance did not start:\n${said}`);
}

function collect(stdout: string, into: Map<string, number>): void {
  for (const line of stdout.split('\n')) {
    const logged = parse(line);
    if (logged === undefined || logged.level < ERROR_LEVEL) continue;
    const what = `${logged.msg}${logged.err?.message === undefined ? '' : `: ${logged.err.message}`}`;
    into.set(what, (into.get(what) ?? 0) + 1);
  }
}

interface Logged {
  readonly level: number;
  readonly msg: string;
  readonly err?: { readonly message?: string };
}

/** A line of the log; undefined for one that was cut off by a kill. */
function parse(line: string): Logged | undefined {
  try {
    return JSON.parse(line) as Logged;
  } catch {
    return undefined;
  }
}
