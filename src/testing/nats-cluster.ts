import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { mergeConfig, type ServerConfig } from '../platform/nats-server/launch.ts';
import { type ClusterNode, startNode } from './cluster-node.ts';

/** Three real servers on loopback that replicate. They end with this process at the latest. */
export interface TestCluster extends AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  readonly urls: readonly string[];
  /** Who leads a stream as the servers that are up report it; undefined while nobody does or they disagree. */
  leaderOf(stream: string): Promise<ClusterNode | undefined>;
  /** Likewise who leads the cluster itself. */
  metaLeader(): Promise<ClusterNode | undefined>;
  /** Waits until there is a meta leader, and a leader of every stream named. @throws Error after the bound */
  settled(streams: readonly string[], timeoutMs?: number): Promise<void>;
  /** Asks a stream's leader to step down, for `to` if it can. False when nobody answered. */
  stepDown(stream: string, to?: ClusterNode): Promise<boolean>;
  /** Ends all servers and removes their data. */
  stop(): Promise<void>;
}

/** Routes of a test's own between the servers, for example through proxies that can be cut. */
export interface ClusterRoutes {
  /** Where each node listens for the others, in the order of the cluster's nodes. */
  readonly ports: readonly number[];
  /** What a node dials to reach the others. */
  dialledBy(index: number): readonly string[];
}

/** How a cluster of a test differs from the plain one. */
export interface TestClusterOptions {
  /** True: every write is synced before it is acknowledged, as in production. False unless given: faster. */
  readonly syncAlways?: boolean;
  readonly extraConfig?: ServerConfig;
  /** Without them the servers reach each other directly. */
  readonly routes?: ClusterRoutes;
}

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const NAMES = ['n1', 'n2', 'n3'] as const;

/**
 * Starts three servers with empty data in a temporary folder; 3 to 6 s.
 * They do not advertise each other's addresses, so that a client stays on the addresses (or proxies) it was given.
 */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const root = await mkdtemp(join(tmpdir(), 'jetledger-cluster-'));
  const started: ClusterNode[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((node) => node.stop()));
    await rm(root, { recursive: true, force: true });
  };
  try {
    const { routes } = options;
    const ports = routes?.ports ?? (await freePorts(NAMES.length));
    const starting = NAMES.map(async (name, index) => {
      const cluster = { ...clusterConfig(ports, index), ...(routes && cuttable(routes, index)) };
      const config = mergeConfig({ cluster }, options.extraConfig ?? {});
      const syncAlways = options.syncAlways ?? false;
      started.push(await startNode({ name, dataDir: join(root, name), syncAlways, config }));
    });
    // All of them, also when one fails, so that `stop` knows every server there is.
    const outcomes = await Promise.allSettled(starting);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    started.sort((a, b) => a.name.localeCompare(b.name));
    const cluster = clusterOf(started, stop);
    await cluster.settled([]);
    await proveReplication(started);
    return cluster;
  } catch (error) {
    await stop();
    throw error;
  }
}

function clusterOf(nodes: readonly ClusterNode[], stop: () => Promise<void>): TestCluster {
  const agreed = async (
    ask: (node: ClusterNode) => Promise<string | undefined>,
  ): Promise<ClusterNode | undefined> => {
    const asked = nodes.filter((node) => node.up());
    const named = await Promise.all(asked.map(ask));
    const [leader, ...others] = new Set(named.filter((name) => name !== undefined));
    // Also by its own word.
    const found = asked.find((node, i) => node.name === leader && named[i] === leader);
    return others.length === 0 ? found : undefined;
  };
  const leaderOf = (stream: string) => agreed((node) => streamLeader(node, stream));
  return {
    nodes,
    urls: nodes.map((node) => node.url),
    leaderOf,
    metaLeader: () => agreed(async (node) => (await report(node, '')).meta_cluster?.leader || undefined),
    settled: async (streams, timeoutMs = READY_TIMEOUT_MS) => {
      await until('a meta leader', timeoutMs, () => hasMetaLeader(nodes));
      for (const stream of streams) {
        await until(`a leader of ${stream}`, timeoutMs, async () => (await leaderOf(stream)) !== undefined);
      }
    },
    stepDown: (stream, to) => stepDown(nodes, stream, to),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function clusterConfig(ports: readonly number[], index: number): ServerConfig {
  return {
    name: 'jetledger-test',
    listen: `127.0.0.1:${ports[index]}`,
    routes: ports.map((port) => `nats://127.0.0.1:${port}`),
    no_advertise: true,
  };
}

/**
 * A server tells the others where it can be reached, and they connect past the proxies if they can: it tells them a
 * port where nobody listens.
 */
function cuttable(routes: ClusterRoutes, index: number): ServerConfig {
  return { routes: routes.dialledBy(index), advertise: '127.0.0.1:1' };
}

interface JetStreamReport {
  readonly meta_cluster?: { readonly leader?: string };
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly cluster?: { readonly leader?: string };
    }[];
  }[];
}

async function report(node: ClusterNode, query: string): Promise<JetStreamReport> {
  try {
    const answer = await fetch(`${node.monitorUrl}/jsz${query}`, { signal: AbortSignal.timeout(1_000) });
    return (await answer.json()) as JetStreamReport;
  } catch {
    return {};
  }
}

async function streamLeader(node: ClusterNode, stream: string): Promise<string | undefined> {
  const { account_details: accounts = [] } = await report(node, '?accounts=true&streams=true');
  for (const account of accounts) {
    const leader = account.stream_detail?.find((detail) => detail.name === stream)?.cluster?.leader;
    if (leader !== undefined && leader !== '') return leader;
  }
  return undefined;
}

async function hasMetaLeader(nodes: readonly ClusterNode[]): Promise<boolean> {
  const up = nodes.filter((node) => node.up());
  const leaders = await Promise.all(
    up.map(async (node) => (await report(node, '')).meta_cluster?.leader ?? ''),
  );
  return leaders.length > 0 && leaders.every((leader) => leader !== '' && leader === leaders[0]);
}

/** A stream with three replicas can be made: what "ready" means for a test. */
async function proveReplication(nodes: readonly ClusterNode[]): Promise<void> {
  const connection = await connect({ servers: nodes.map((node) => node.url) });
  try {
    await until('a stream with three replicas', READY_TIMEOUT_MS, async () => {
      const jsm = await jetstreamManager(connection, { checkAPI: false, timeout: 2_000 });
      const added = await jsm.streams
        .add({ name: 'probe', subjects: ['probe'], num_replicas: 3 })
        .catch(() => undefined);
      return added !== undefined && (await jsm.streams.delete('probe').catch(() => false));
    });
  } finally {
    await connection.close();
  }
}

async function stepDown(
  nodes: readonly ClusterNode[],
  stream: string,
  to: ClusterNode | undefined,
): Promise<boolean> {
  const servers = nodes.filter((node) => node.up()).map((node) => node.url);
  const connection = await connect({ servers, timeout: 2_000 }).catch(() => undefined);
  if (connection === undefined) return false;
  try {
    const wish = to === undefined ? '' : JSON.stringify({ placement: { preferred: to.name } });
    await connection.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, wish, { timeout: 2_000 });
    return true;
  } catch {
    return false;
  } finally {
    await connection.close();
  }
}

async function until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`The test cluster had no ${what} after ${timeoutMs} ms`);
    await delay(POLL_MS);
  }
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
