import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { startTestCluster, type TestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { type CuttableRoutes, startClusterRoutes } from '../support/cluster-routes.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { createLogStream, TEST_LOG } from '../support/nats-log.ts';
import { clusterFaults, type Fault, networkFaults, partitionFaults, serverFaults } from './faults.ts';
import { AUDIT_SNAPSHOTS } from './open-log.ts';

export type TopologyName = 'r1' | 'r3';

/** Servers with the log on them, a proxy in front of each, and what can be done to them. */
export interface Topology extends AsyncDisposable {
  /** Past the proxies. */
  readonly urls: readonly string[];
  readonly proxied: readonly string[];
  readonly faults: Readonly<Record<string, Fault>>;
  /** Ends what faults have left and waits until the log has a leader. */
  heal(): Promise<void>;
}

/** One durable server (`r1`), or a cluster of three with the log on all of them, whose routes can be cut (`r3`). */
export async function startTopology(name: TopologyName): Promise<Topology> {
  if (name === 'r1') {
    const server = await startTestServer({ syncAlways: true });
    return dressed(server, [server.url], 1, serverFaults(server), () => healServer(server));
  }
  const routes = await startClusterRoutes();
  const cluster = await startTestCluster({ syncAlways: true, routes });
  const faults = { ...clusterFaults(cluster), ...partitionFaults(cluster, routes) };
  const servers = {
    [Symbol.asyncDispose]: async () => {
      await cluster.stop();
      await routes[Symbol.asyncDispose]();
    },
  };
  return dressed(servers, cluster.urls, 3, faults, () => healCluster(cluster, routes));
}

async function dressed(
  servers: AsyncDisposable,
  urls: readonly string[],
  replicas: number,
  faults: Readonly<Record<string, Fault>>,
  healServers: () => Promise<void>,
): Promise<Topology> {
  const proxies: FaultProxy[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await servers[Symbol.asyncDispose]();
  };
  try {
    for (const url of urls) proxies.push(await startFaultProxy(url));
    await createLogStream(urls.join(','), TEST_LOG, replicas);
    await createSnapshotBucket(urls);
    return {
      urls,
      proxied: proxies.map((proxy) => proxy.url),
      faults: { ...faults, ...networkFaults(proxies) },
      heal: async () => {
        for (const proxy of proxies) proxy.heal();
        await healServers();
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function createSnapshotBucket(urls: readonly string[]): Promise<void> {
  const connection = await connect({ servers: [...urls] });
  const kind = { replicas: 1, storage: 'file', persist: 'async' } as const;
  await ensureBucket(await jetstreamManager(connection), AUDIT_SNAPSHOTS, kind);
  await connection.close();
}

/** Every fault undoes itself, also when it fails; what is left is a server that may still be paused. */
async function healServer(server: TestServer): Promise<void> {
  server.signal('SIGCONT');
}

async function healCluster(cluster: TestCluster, routes: CuttableRoutes): Promise<void> {
  routes.heal();
  for (const node of cluster.nodes) if (!node.up() && !node.signal('SIGCONT')) await node.restart();
  await cluster.settled([TEST_LOG.stream], 60_000);
}
