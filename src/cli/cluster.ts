import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { readEnvironment } from '../platform/config/environment.ts';
import { configDir, loadConfig } from '../platform/config/load.ts';
import { type Config, isProduction } from '../platform/config/schema.ts';
import { createLifecycle, type Lifecycle } from '../platform/lifecycle.ts';
import { maskUrl } from '../platform/mask-url.ts';
import { logReading, readNatsServer } from '../platform/nats-monitor.ts';
import { type EmbeddedServer, newPassword, startEmbeddedServer } from '../platform/nats-server/embedded.ts';
import { isHealthy, ServerStartFailed } from '../platform/nats-server/errors.ts';
import { authorizationOf, serverFiles, withLogin } from '../platform/nats-server/launch.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import type { ServerBinary } from '../platform/nats-server/version.ts';
import { ServiceEnded } from '../service/errors.ts';
import { type Command, type CommandContext, interruptible, UsageError } from './command.ts';
import { topologyCommand } from './topology.ts';

/** A service as people see it. */
export interface ShownService {
  readonly pid: number;
  readonly url: string;
}

/** Variables that tell a service where the cluster is. */
export type ClusterVariables = Readonly<Record<string, string>>;

/**
 * What runs, and how to try by hand what happens when some of it does not.
 * @param leader name of the server that leads the log
 */
export function guideOf(
  servers: readonly ClusterServer[],
  services: readonly ShownService[],
  leader: string | undefined,
  variables: ClusterVariables,
): readonly string[] {
  const [first, second = first] = services;
  const leading = servers.find(({ name }) => name === leader) ?? servers[0];
  const json = "-H 'content-type: application/json' -d";
  const url = first?.url ?? '';
  const assignments = Object.entries(variables).map(([name, value]) => `${name}='${value}'`);
  return [
    '',
    'Three nats-servers and three services run; Ctrl-C ends all of them and keeps the data.',
    ...servers.map(
      ({ name, server }) =>
        `  ${name}    ${maskUrl(server.url)}  pid ${server.pid}${name === leading?.name ? '  leads the log' : ''}`,
    ),
    ...services.map((service, index) => `  app${index + 1}  ${service.url}  pid ${service.pid}`),
    '',
    'Register somebody, then kill the server that leads the log and ask another service:',
    `  curl -s ${url}/v1/users ${json} '{"email":"ada@example.com","name":"Ada"}'`,
    `  kill -9 ${leading?.server.pid}`,
    `  curl -s ${second?.url}/health/ready`,
    `  curl -s ${second?.url}/v1/users ${json} '{"email":"grace@example.com","name":"Grace"}'`,
    'Or kill a service; the others go on:',
    `  kill -9 ${first?.pid}`,
    '',
    'What was killed is started again in another terminal:',
    ...servers.map(({ name, again }) => `  ${name}: ${again}`),
    `  app1: ${assignments.join(' ')} PORT=${new URL(url).port} jetledger serve`,
    '',
  ];
}

const FOLLOW_EVERY_MS = 200;
const CHUNK_BYTES = 65_536;

/** Takes text in pieces and hands out whole lines. */
function lineBuffer(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  };
}

/** Hands out each line that a process writes. */
export function linesOf(stream: Readable, onLine: (line: string) => void): void {
  stream.setEncoding('utf8').on('data', lineBuffer(onLine));
}

/** Hands out each line of a file that grows, from its beginning, until it is told to stop. */
export function followFile(path: string, onLine: (line: string) => void): { stop(): void } {
  const take = lineBuffer(onLine);
  let offset = 0;
  let reading = false;
  const look = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    try {
      await using file = await open(path);
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, offset);
        if (bytesRead === 0) break;
        offset += bytesRead;
        take(buffer.toString('utf8', 0, bytesRead));
      }
    } catch {
      // Not there yet, or no more; the next look tells.
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(() => void look(), FOLLOW_EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/** One of the three servers. */
export interface ClusterServer {
  readonly name: string;
  readonly server: EmbeddedServer;
  /** Where it writes its log. */
  readonly logFile: string;
  /** A command that starts it again after it was killed. */
  readonly again: string;
}

const NAMES = ['n1', 'n2', 'n3'] as const;
const READY_TIMEOUT_MS = 60_000;
const LOOK_EVERY_MS = 100;
const LOOK_TIMEOUT_MS = 1_000;

/**
 * Starts three servers that replicate, on loopback and free ports; everything is synced before it is acknowledged.
 * Resolves when they have a leader among them. When one fails, none is left running.
 * @param dataDir gets a folder for each
 */
export async function startServers(binary: ServerBinary, dataDir: string): Promise<readonly ClusterServer[]> {
  const [client = [], routes = [], monitor = []] = await freePorts(NAMES.length);
  const password = newPassword();
  const outcomes = await Promise.allSettled(
    NAMES.map((name, index) =>
      startEmbeddedServer({
        binary,
        dataDir: join(dataDir, name),
        port: client[index] ?? -1,
        monitorPort: monitor[index] ?? -1,
        syncAlways: true,
        serverName: name,
        password,
        extraConfig: {
          cluster: {
            name: 'jetledger',
            listen: `127.0.0.1:${routes[index]}`,
            routes: routes.map((port) => withLogin(`nats://127.0.0.1:${port}`, password)),
            ...authorizationOf(password),
          },
        },
        // One alone has no leader: it is ready when it listens.
        healthPath: '/healthz?js-enabled-only=true',
        readyTimeoutMs: READY_TIMEOUT_MS,
      }),
    ),
  );
  const servers = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    await agreed(servers);
  } catch (error) {
    await Promise.all(servers.map((server) => server.stop()));
    throw error;
  }
  return servers.map((server, index) => {
    const name = NAMES[index] ?? '';
    const { config, log } = serverFiles(join(dataDir, name));
    return { name, server, logFile: log, again: `${binary.path} -c ${config}` };
  });
}

async function agreed(servers: readonly EmbeddedServer[]): Promise<void> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  const look = ({ monitorUrl }: EmbeddedServer) => isHealthy(monitorUrl, '/healthz', LOOK_TIMEOUT_MS);
  while (!(await Promise.all(servers.map(look))).every((healthy) => healthy)) {
    if (Date.now() > deadline)
      throw new ServerStartFailed(
        `the three nats-servers have no leader after ${READY_TIMEOUT_MS / 1_000} s`,
      );
    await delay(LOOK_EVERY_MS);
  }
}

/** Three times so many ports that were free a moment ago: they must be known before any server starts. */
async function freePorts(count: number): Promise<number[][]> {
  const holders = await Promise.all(
    Array.from({ length: 3 * count }, async () => {
      const holder = createServer();
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
      return holder;
    }),
  );
  const ports = holders.map((holder) => {
    const address = holder.address();
    return typeof address === 'object' && address !== null ? address.port : -1;
  });
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return [0, 1, 2].map((part) => ports.slice(part * count, (part + 1) * count));
}

/** A `jetledger serve` that was started. */
export interface ClusterService {
  readonly pid: number;
  /** Resolves with where it answers, for example `http://127.0.0.1:3000`. Rejects with ServiceEnded. */
  readonly answers: Promise<string>;
  /** Settles when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Ends it gently; nothing happens when it has ended. */
  stop(): Promise<void>;
}

const ANSWERS = /JetLedger answers at (http:[^\s,]+)/;

// The end of the pipe reaches it also when we are killed. Loaded before the service itself.
const END_WITH_PARENT =
  'data:text/javascript,process.stdin.on("end",()=>process.kill(process.pid)).resume().unref()';

/**
 * Starts a service in a process of its own. Ctrl-C at the terminal does not reach it.
 * @param env all of its variables
 */
export function startServiceProcess(
  env: Readonly<Record<string, string | undefined>>,
  onLine: (line: string) => void,
): ClusterService {
  const program = process.argv[1] ?? '';
  const child = spawn(process.execPath, ['--import', END_WITH_PARENT, program, 'serve'], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env,
  });
  child.stdin?.on('error', () => undefined);
  const ended = endOf(child);
  const answers = new Promise<string>((resolve, reject) => {
    linesOf(child.stdout, (line) => {
      const url = ANSWERS.exec(line)?.[1];
      if (url !== undefined) resolve(url);
      onLine(line);
    });
    linesOf(child.stderr, onLine);
    void ended.then((how) => reject(new ServiceEnded(how)));
  });
  return {
    pid: child.pid ?? 0,
    answers,
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal ?? `exit code ${code}`;
}

const SERVICES = 3;
const TOPOLOGY_TRIES = 40;
const TOPOLOGY_PAUSE_MS = 500;

export const clusterCommand: Command = {
  name: 'cluster',
  usage: '',
  summary: 'Run three nats-servers and three services on this machine, for trying fail-over by hand.',
  help: `The servers replicate and sync every write; their data stays in the folder cluster under nats.embedded.dataDir. The
services have all roles, and listen on http.port and the two ports above it (0 = any free ones). It prints the lines
of all of them, their process ids, and what to try. Ctrl-C ends everything.

Not for production: all copies are on one disk.

Examples:
  jetledger cluster
  JETLEDGER_HTTP__PORT=8080 jetledger cluster`,
  run: async (_args, context) => {
    const config = context.config();
    if (isProduction(config))
      throw new UsageError(
        `A cluster on one machine is for trying things out, and this is ${config.environment}.`,
      );
    const logger = context.logger();
    const lifecycle = createLifecycle({ logger, deadlineMs: config.service.shutdownTimeoutMs });
    try {
      await interruptible((signal) => run(config, context, lifecycle, signal));
    } finally {
      context.print('Stopping all of them ...');
      await lifecycle.stop();
    }
    return 0;
  },
};

/** Resolves when it is interrupted; everything that it has started is noted by then. */
async function run(
  config: Config,
  { print, logger }: CommandContext,
  lifecycle: Lifecycle,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir: root, binary: explicit } = config.nats.embedded;
  const dataDir = join(root, 'cluster');
  const cacheDir = join(root, 'nats-server');
  const binary = await resolveNatsServer({ explicit, cacheDir, onProgress: print });
  const servers = await startServers(binary, dataDir);
  lifecycle.started('nats-servers', () => Promise.all(servers.map(({ server }) => server.stop())));
  for (const { name, logFile } of servers) {
    const following = followFile(logFile, (line) => print(`${name}   | ${line}`));
    lifecycle.started(`log of ${name}`, following.stop);
  }
  const variables = variablesOf(servers, dataDir);
  if (!(await createTopology(variables, { print, logger }, signal))) return;
  const services = await startServices(config, variables, print, lifecycle);
  for (const line of guideOf(servers, services, await leaderOf(servers, config), variables)) print(line);
  if (!signal.aborted) await once(signal, 'abort');
}

function variablesOf(servers: readonly ClusterServer[], dataDir: string): ClusterVariables {
  return {
    JETLEDGER_NATS__URL: servers.map(({ server }) => server.url).join(','),
    JETLEDGER_NATS__MONITOR_URLS: servers.map(({ server }) => server.monitorUrl).join(','),
    // The key of the e-mail addresses is kept there.
    JETLEDGER_NATS__EMBEDDED__DATA_DIR: dataDir,
    JETLEDGER_LOG__REPLICAS: '3',
    JETLEDGER_LOG__DURABILITY: 'always',
  };
}

/**
 * Three copies can be made only once all servers know each other, a moment after they have a leader.
 * @returns false when it was interrupted
 */
async function createTopology(
  variables: ClusterVariables,
  context: Pick<CommandContext, 'print' | 'logger'>,
  signal: AbortSignal,
): Promise<boolean> {
  const env = { ...readEnvironment(), ...variables };
  const config = loadConfig({ env, dir: configDir(env) });
  for (let tries = 1; !signal.aborted; tries++) {
    try {
      const code = await topologyCommand.run(['apply'], { ...context, config: () => config });
      if (code === 0) return true;
      throw new UsageError('The streams of the cluster cannot be made; the lines above say why.');
    } catch (error) {
      if (tries >= TOPOLOGY_TRIES || error instanceof UsageError) throw error;
      await delay(TOPOLOGY_PAUSE_MS);
    }
  }
  return false;
}

function startServices(
  config: Config,
  variables: ClusterVariables,
  print: (line: string) => void,
  lifecycle: Lifecycle,
): Promise<readonly ShownService[]> {
  const first = config.http.port;
  const names = Array.from({ length: SERVICES }, (_, index) => `app${index + 1}`);
  const started = names.map((name, index) => {
    const port = String(first === 0 ? 0 : first + index);
    const env = { ...readEnvironment(), ...variables, JETLEDGER_HTTP__PORT: port };
    const service = startServiceProcess(env, (line) => print(`${name} | ${line}`));
    lifecycle.started(name, service.stop);
    void service.ended.then((how) => print(`${name} has ended: ${how}`));
    return service;
  });
  return Promise.all(started.map(async ({ pid, answers }) => ({ pid, url: await answers })));
}

async function leaderOf(servers: readonly ClusterServer[], { log }: Config): Promise<string | undefined> {
  const readings = await Promise.all(
    servers.map(({ server }) => readNatsServer(server.monitorUrl, log.stream)),
  );
  return logReading(readings.filter((reading) => reading !== undefined))?.leader;
}
