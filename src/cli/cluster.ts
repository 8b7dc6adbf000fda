import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readEnvironment } from '../platform/config/environment.ts';
import { configDir, loadConfig } from '../platform/config/load.ts';
import type { Config } from '../platform/config/schema.ts';
import { createLifecycle, type Lifecycle } from '../platform/lifecycle.ts';
import { logReading, readNatsServer } from '../platform/nats-monitor.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import { type ClusterVariables, guideOf, type ShownService } from './cluster/guide.ts';
import { followFile } from './cluster/output.ts';
import { type ClusterServer, startServers } from './cluster/servers.ts';
import { startServiceProcess } from './cluster/services.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';
import { interruptible } from './interrupt.ts';
import { topologyCommand } from './topology.ts';

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
    if (config.environment === 'production')
      throw new UsageError('A cluster on one machine is for trying things out, and this is production.');
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
