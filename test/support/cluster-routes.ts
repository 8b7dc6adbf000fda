import { type ClusterRoutes, freePorts } from '../../src/testing/nats-cluster.ts';
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
export interface CuttableRoutes extends ClusterRoutes, AsyncDisposable {
  /** From now on nothing passes between this node and the others, in the ways that are cut. */
  cut(index: number, cut?: Cut): void;
  /** Ends every cut. Servers dial again what bytes were lost on, within about a second. */
  heal(): void;
}

const BOTH: readonly Way[] = ['to-others', 'from-others'];

/** Proxies between every two of `count` servers; give them to `startTestCluster`, and stop them after it. */
export async function startClusterRoutes(count = 3): Promise<CuttableRoutes> {
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
