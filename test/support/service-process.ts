import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverFiles } from '../../src/platform/nats-server/launch.ts';
import { isAlive } from '../../src/platform/nats-server/process.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { serviceBuild } from './service-build.ts';

/** How a process ended, and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** From its start to its end, in milliseconds. */
  readonly ms: number;
}

/** A `jetledger` command as a child process. It gets SIGKILL when this process ends, however that happens. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** What it has written so far. */
  readonly output: () => { stdout: string; stderr: string };
  readonly alive: () => boolean;
  /** Settles when it has ended and all of its output is there; rejects after `withinMs`. */
  ended(withinMs?: number): Promise<Ended>;
  signal(signal: NodeJS.Signals): void;
}

/** A running service. */
export interface ServiceProcess extends Running {
  /** For example `http://127.0.0.1:34567`. */
  readonly url: string;
  /** From the start of the process to its first answer, in milliseconds. */
  readonly startedInMs: number;
}

/** Variables of the configuration, over those of a test. */
export type Variables = Readonly<Record<string, string>>;

/** A folder for the data of one service; removed at the end. */
export interface DataDir extends AsyncDisposable {
  readonly path: string;
  readonly variables: Variables;
  /** Process id of the nats-server that was last started on it; undefined when none runs now. */
  natsPid(): Promise<number | undefined>;
}

/** These only end what hangs: on a busy machine a start takes many times its usual second. */
const READY_MS = 45_000;
const END_MS = 45_000;

// The end of the pipe reaches the child also when this process is killed; its own nats-server follows it.
const END_WITH_PARENT =
  'data:text/javascript,process.stdin.on("end",()=>process.kill(process.pid,"SIGKILL")).resume().unref()';

/** Makes the folder under the system's temporary one. */
export async function createDataDir(): Promise<DataDir> {
  const path = await mkdtemp(join(tmpdir(), 'jetledger-e2e-'));
  const natsPid = async (): Promise<number | undefined> => {
    const noted = await readFile(serverFiles(path).pid, 'utf8').catch(() => '');
    const pid = Number(noted);
    return pid > 0 && isAlive(pid) ? pid : undefined;
  };
  return {
    path,
    natsPid,
    variables: { JETLEDGER_NATS__EMBEDDED__DATA_DIR: path },
    [Symbol.asyncDispose]: async () => {
      await until('the embedded server has ended', async () => (await natsPid()) === undefined, END_MS);
      await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    },
  };
}

/**
 * Starts `jetledger <args>`. Of this process's variables only PATH is passed on.
 * @param stdout an open file for what it writes, which is then not kept here
 */
export async function startCommand(
  args: readonly string[],
  variables: Variables = {},
  stdout: 'pipe' | number = 'pipe',
): Promise<Running> {
  const program = await serviceBuild();
  const binary = (await testServerBinary()).path;
  const own = { JETLEDGER_HTTP__PORT: '0', JETLEDGER_NATS__EMBEDDED__BINARY: binary };
  return startProgram([program, ...args], { ...own, ...variables }, stdout);
}

/** Starts a program of Node's, which gets SIGKILL when this process ends; of its variables only PATH is passed on. */
export function startProgram(
  args: readonly string[],
  variables: Variables,
  stdout: 'pipe' | number = 'pipe',
): Running {
  const started = performance.now();
  const child = spawn(process.execPath, ['--import', END_WITH_PARENT, ...args], {
    stdio: ['pipe', stdout, 'pipe'],
    env: { PATH: process.env.PATH, ...variables },
  });
  return follow(child, started);
}

/** Runs `jetledger <args>` to its end. */
export async function runCommand(
  args: readonly string[],
  variables: Variables = {},
  withinMs = END_MS,
): Promise<Ended> {
  await using running = await startCommand(args, variables);
  return await running.ended(withinMs);
}

/** Starts `jetledger serve <args>` on a free port and waits until it answers and is ready. */
export async function startService(
  variables: Variables = {},
  args: readonly string[] = [],
): Promise<ServiceProcess> {
  const running = await startCommand(['serve', ...args], variables);
  const started = performance.now();
  try {
    let url = '';
    let startedInMs = 0;
    await until(
      'the service is ready',
      async () => {
        if (url === '') {
          url = /JetLedger answers at (http:\S+?),? /.exec(running.output().stdout)?.[1] ?? '';
          if (url === '') return !running.alive();
          startedInMs = performance.now() - started;
        }
        return (await fetch(`${url}/health/ready`)).ok;
      },
      READY_MS,
    );
    if (url === '') throw new Error('it refused to start');
    return { ...running, url, startedInMs };
  } catch (cause) {
    const { stdout, stderr } = running.output();
    await running[Symbol.asyncDispose]();
    throw new Error(`the service did not start:\n${stdout}\n${stderr}`, { cause });
  }
}

/** Stops a service as its operator would; it must end with exit code 0. */
export async function stopService(service: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
  service.signal(signal);
  const ended = await service.ended();
  if (ended.code !== 0) throw new Error(`it ended with ${ended.code ?? ended.signal}:\n${ended.stderr}`);
  return ended;
}

function follow(child: ChildProcess, started: number): Running {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin?.on('error', () => undefined);
  let over: Ended | undefined;
  const end = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      over = { code, signal, stdout, stderr, ms: performance.now() - started };
      resolve(over);
    });
  });
  const ended = async (withinMs = END_MS): Promise<Ended> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error(`no end within ${withinMs} ms:\n${stdout}\n${stderr}`));
      timer = setTimeout(fail, withinMs);
    });
    return Promise.race([end, late]).finally(() => clearTimeout(timer));
  };
  return {
    pid: child.pid ?? 0,
    output: () => ({ stdout, stderr }),
    alive: () => over === undefined,
    ended,
    signal: (signal) => {
      child.kill(signal);
    },
    [Symbol.asyncDispose]: async () => {
      if (over === undefined) child.kill('SIGKILL');
      await ended();
    },
  };
}
