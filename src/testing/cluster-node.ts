import { type EmbeddedServer, startEmbeddedServer } from '../platform/nats-server/embedded.ts';
import type { ServerConfig } from '../platform/nats-server/launch.ts';
import { testServerBinary } from './nats-server.ts';

/** One server of a test cluster. Url and data stay the same over restarts. */
export interface ClusterNode {
  readonly name: string;
  readonly url: string;
  readonly monitorUrl: string;
  /** True unless it was killed, stopped or paused. */
  readonly up: () => boolean;
  /** Process id of nats-server itself; another one after `restart`. */
  readonly pid: () => number;
  /** Ends it with SIGKILL and waits until it is gone; the data stays for `restart`. */
  kill9(): Promise<void>;
  /** Ends it gently; the data stays for `restart`. */
  stop(): Promise<void>;
  /** Starts it again on the same ports and data; ends it gently first if it still runs. Does not wait for a quorum. */
  restart(): Promise<void>;
  /** SIGSTOP and SIGCONT, or any other signal. False when it is gone. */
  signal(signal: NodeJS.Signals): boolean;
}

export interface ClusterNodeOptions {
  readonly name: string;
  readonly dataDir: string;
  readonly syncAlways: boolean;
  /** With the section that makes it part of a cluster. */
  readonly config: ServerConfig;
}

const READY_TIMEOUT_MS = 30_000;

/** Starts one server of a cluster, on any free ports. It is ready when it listens, not when there is a quorum. */
export async function startNode(options: ClusterNodeOptions): Promise<ClusterNode> {
  const { name, dataDir, syncAlways, config } = options;
  const binary = await testServerBinary();
  const start = (port: number, monitorPort: number): Promise<EmbeddedServer> =>
    startEmbeddedServer({
      binary,
      dataDir,
      port,
      monitorPort,
      syncAlways,
      password: '',
      serverName: name,
      extraConfig: config,
      // A node alone has no quorum: it is ready when it listens.
      healthPath: '/healthz?js-enabled-only=true',
      readyTimeoutMs: READY_TIMEOUT_MS,
    });
  let server = await start(-1, -1);
  let up = true;
  const { url, monitorUrl } = server;
  const stop = async (): Promise<void> => {
    up = false;
    server.kill('SIGCONT');
    await server.stop();
  };
  return {
    name,
    url,
    monitorUrl,
    up: () => up,
    pid: () => server.pid,
    stop,
    kill9: async () => {
      up = false;
      server.kill('SIGKILL');
      await server.exited;
    },
    restart: async () => {
      await stop();
      server = await start(Number(new URL(url).port), Number(new URL(monitorUrl).port));
      up = true;
    },
    signal: (signal) => {
      const sent = server.kill(signal);
      if (signal === 'SIGSTOP') up = false;
      if (signal === 'SIGCONT') up = sent;
      return sent;
    },
  };
}
