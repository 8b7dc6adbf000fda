import type { ClusterNode } from '../../src/testing/cluster-node.ts';
import type { TestCluster } from '../../src/testing/nats-cluster.ts';
import type { TestServer } from '../../src/testing/nats-server.ts';
import type { Cut, CuttableRoutes } from '../support/cluster-routes.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { isPublishTo } from '../support/nats-frames.ts';
import { TEST_LOG } from '../support/nats-log.ts';

/** What a fault is given to be random and to last. */
export interface Chaos {
  /** In [0, 1). */
  readonly random: () => number;
  /** Resolves after a random time between the bounds, in seconds. */
  lasting(fromSeconds: number, toSeconds: number): Promise<void>;
}

/** Does something bad, waits, and undoes it. */
export type Fault = (chaos: Chaos) => Promise<void>;

/** What can happen between clients and servers. */
export function networkFaults(proxies: readonly FaultProxy[]): Record<string, Fault> {
  const during =
    (fault: (proxy: FaultProxy, chaos: Chaos) => void): Fault =>
    async (chaos) => {
      const proxy = oneOf(proxies, chaos);
      fault(proxy, chaos);
      await chaos.lasting(0.5, 4);
      proxy.heal();
    };
  return {
    'drop-acks': during((proxy) => proxy.drop()),
    'drop-publishes': during((proxy) => proxy.drop(isPublishTo(`${TEST_LOG.prefix}.`))),
    'delay-replies': during((proxy, { random }) => proxy.delay(100 + random() * 1_400)),
    'late-publishes': during((proxy) => proxy.hold('to-server')),
    'late-replies': during((proxy) => proxy.hold('to-client')),
    'black-hole': during((proxy) => proxy.blackHole()),
    'cut-connections': during((proxy) => proxy.cut()),
    'refuse-connections': during((proxy) => proxy.refuse()),
  };
}

/** What can happen to a server that is alone. Pauses last longer than the clients' timeouts. */
export function serverFaults(server: TestServer): Record<string, Fault> {
  return {
    'kill-server': async (chaos) => {
      await server.kill9();
      await chaos.lasting(0, 2);
      await server.restart();
    },
    'pause-server': async (chaos) => {
      server.signal('SIGSTOP');
      await chaos.lasting(1, 6);
      server.signal('SIGCONT');
    },
  };
}

/** What can happen to servers that replicate. Pauses last longer than an election. */
export function clusterFaults(cluster: TestCluster): Record<string, Fault> {
  const leader = (chaos: Chaos) => leaderOrAny(cluster, chaos);
  const killed = async (nodes: readonly ClusterNode[], chaos: Chaos): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill9()));
    await chaos.lasting(0, 6);
    await Promise.all(nodes.map((node) => node.restart()));
    await cluster.settled([TEST_LOG.stream], 60_000);
  };
  const paused = async (node: ClusterNode, chaos: Chaos): Promise<void> => {
    node.signal('SIGSTOP');
    await chaos.lasting(2, 12);
    node.signal('SIGCONT');
    await cluster.settled([TEST_LOG.stream], 60_000);
  };
  return {
    'kill-leader': async (chaos) => killed([await leader(chaos)], chaos),
    'kill-node': (chaos) => killed([oneOf(cluster.nodes, chaos)], chaos),
    'kill-all': (chaos) => killed(cluster.nodes, chaos),
    'pause-leader': async (chaos) => paused(await leader(chaos), chaos),
    'pause-node': (chaos) => paused(oneOf(cluster.nodes, chaos), chaos),
    'move-leader': async () => {
      await cluster.stepDown(TEST_LOG.stream);
    },
  };
}

/**
 * What can happen between servers that replicate, while their clients stay with them. A leader that is cut off both
 * ways goes on to believe that it leads, when it leads the servers' own group too for much longer than the others need
 * to elect another (4 to 9 s).
 */
export function partitionFaults(cluster: TestCluster, routes: CuttableRoutes): Record<string, Fault> {
  const parted =
    (choose: (chaos: Chaos) => Promise<ClusterNode>, cut: (chaos: Chaos) => Cut): Fault =>
    async (chaos) => {
      const node = await choose(chaos);
      routes.cut(cluster.nodes.indexOf(node), cut(chaos));
      await chaos.lasting(11, 16);
      routes.heal();
      await cluster.settled([TEST_LOG.stream], 60_000);
    };
  const leader = (chaos: Chaos) => leaderOrAny(cluster, chaos);
  const leaderOfBoth = async (chaos: Chaos): Promise<ClusterNode> => {
    const meta = await cluster.metaLeader();
    if (meta !== undefined && (await cluster.leaderOf(TEST_LOG.stream)) !== meta) {
      await cluster.stepDown(TEST_LOG.stream, meta);
      await cluster.settled([TEST_LOG.stream], 60_000);
    }
    return leader(chaos);
  };
  const anyNode = async (chaos: Chaos) => oneOf(cluster.nodes, chaos);
  return {
    partition: parted(leaderOfBoth, () => ({})),
    'partition-leader': parted(leader, ({ random }) => ({ late: random() < 0.5 })),
    'partition-one-way': parted(leader, (chaos) => ({
      ways: [oneOf(['to-others', 'from-others'], chaos)],
      late: chaos.random() < 0.3,
    })),
    'partition-node': parted(anyNode, () => ({})),
  };
}

async function leaderOrAny(cluster: TestCluster, chaos: Chaos): Promise<ClusterNode> {
  return (await cluster.leaderOf(TEST_LOG.stream)) ?? oneOf(cluster.nodes, chaos);
}

function oneOf<T>(all: readonly T[], { random }: Chaos): T {
  const found = all[Math.floor(random() * all.length)];
  if (found === undefined) throw new RangeError('There is nothing to choose from');
  return found;
}
