import { createServer } from 'node:net';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import type { Direction } from './proxy-pipe.ts';

/** What a cut keeps from passing, as the node that is cut off sees it. */
export type Way = 'to-others' | 'from-others';

export interface Cut {
  /** Both unless named. */
  readonly ways?: readonly Way[];
  /** True: what is sent meanwhile arrives when the cut heals. False unless given: it is lost, on connections that stay open. */
  readonly late?: boolean;
}

/** The routes between the servers of a cluster, each through a proxy of the test. Clients do not notice a cut. */
export interface ClusterRoutes extends AsyncDisposable {
  /** Where each node listens for the others, in the order of the cluster's nodes. */
  readonly ports: readonly number[];
  /** What a node dials to reach the others. */
  dialledBy(index: number): readonly string[];
  /** From now on nothing passes between this node and the others, in the ways that are cut. */
  cut(index: number, cut?: Cut): void;
  /** Ends every cut. Servers dial again what bytes were lost on, within about a second. */
  heal(): void;
}

const BOTH: readonly Way[] = ['to-others', 'from-others'];

/** Proxies between every two of `count` servers; give them to `startTestCluster`, and stop them after it. */
export async function startClusterRoutes(count = 3): Promise<ClusterRoutes> {
  const ports = await freePorts(count);
  const links: { readonly from: number; readonly to: number; readonly proxy: FaultProxy }[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(links.map(({ proxy }) => proxy.stop()));
  };
  try {
    for (const from of ports.keys()) {
      for (const [to, port] of ports.entries()) {
        if (from !== to)
          links.push({ from, to, proxy: await startFaultProxy(`nats://127.0.0.1:${port}`, 'route') });
      }
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ports,
    dialledBy: (index) => links.filter(({ from }) => from === index).map(({ proxy }) => proxy.url),
    cut: (index, { ways = BOTH, late = false } = {}) => {
      for (const { from, to, proxy } of links) {
        if (from !== index && to !== index) continue;
        const directions = ways.map((way) => directionOf(way, from === index));
        if (late) proxy.hold(...directions);
        else proxy.blackHole(...directions);
      }
    },
    heal: () => {
      for (const { proxy } of links) proxy.heal();
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** The node that dialled is the client of its connection. */
function directionOf(way: Way, dialled: boolean): Direction {
  return (way === 'to-others') === dialled ? 'to-server' : 'to-client';
}

/** Ports that were free a moment ago: routes must be known before any server starts. */
export async function freePorts(count: number): Promise<number[]> {
  const holders = await Promise.all(
    Array.from({ length: count }, async () => {
      const holder = createServer();
      await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
      return holder;
    }),
  );
  const ports = holders.map((holder) => {
    const address = holder.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}
