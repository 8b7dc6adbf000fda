import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type EmbeddedServer, startEmbeddedServer } from '../../platform/nats-server/embedded.ts';
import { ServerStartFailed } from '../../platform/nats-server/errors.ts';
import { serverFiles } from '../../platform/nats-server/layout.ts';
import { isHealthy } from '../../platform/nats-server/monitor.ts';
import type { ServerBinary } from '../../platform/nats-server/version.ts';

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
  const outcomes = await Promise.allSettled(
    NAMES.map((name, index) =>
      startEmbeddedServer({
        binary,
        dataDir: join(dataDir, name),
        port: client[index] ?? -1,
        monitorPort: monitor[index] ?? -1,
        syncAlways: true,
        serverName: name,
        extraConfig: {
          cluster: {
            name: 'jetledger',
            listen: `127.0.0.1:${routes[index]}`,
            routes: routes.map((port) => `nats://127.0.0.1:${port}`),
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
