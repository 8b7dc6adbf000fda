import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type EmbeddedServer, startEmbeddedServer } from '../platform/nats-server/embedded.ts';
import type { ServerConfig } from '../platform/nats-server/launch.ts';
import { type ResolvedServer, resolveNatsServer } from '../platform/nats-server/resolve.ts';

/** How a test's server differs from the plain one. */
export interface TestServerOptions {
  /** True: every write is synced before it is acknowledged, as in production. False unless given: faster. */
  readonly syncAlways?: boolean;
  readonly extraConfig?: ServerConfig;
  readonly serverName?: string;
}

/** A real nats-server of a test's own, on loopback, with data of its own and without a login. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly monitorUrl: string;
  /** Process id of nats-server itself; another one after `restart`. */
  readonly pid: () => number;
  /** Ends the server and removes its data. */
  stop(): Promise<void>;
  /** Ends the server with SIGKILL and waits until it is gone; the data stays for `restart`. */
  kill9(): Promise<void>;
  /** Sends any other signal (SIGSTOP, SIGCONT). */
  signal(signal: NodeJS.Signals): boolean;
  /** Starts the server again, on the same ports and data; ends it gently first if it still runs. */
  restart(): Promise<void>;
}

/** Shared with the embedded server of a service that is started in the same folder. */
const CACHE_DIR = resolve('.jetledger', 'nats-server');

let resolved: Promise<ResolvedServer> | undefined;

/** The nats-server program that all tests use, resolved once per process into the project's cache. */
export function testServerBinary(): Promise<ResolvedServer> {
  resolved ??= resolveNatsServer({ cacheDir: CACHE_DIR });
  return resolved;
}

/** Starts a server with empty data in a temporary folder; about 100 ms. Stop it, or hold it with `await using`. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const binary = await testServerBinary();
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-test-'));
  const start = (port: number, monitorPort: number): Promise<EmbeddedServer> =>
    startEmbeddedServer({ syncAlways: false, password: '', ...options, binary, dataDir, port, monitorPort });
  let server = await start(-1, -1);
  const { url, monitorUrl } = server;
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  return {
    url,
    monitorUrl,
    pid: () => server.pid,
    stop,
    kill9: async () => {
      server.kill('SIGKILL');
      await server.exited;
    },
    signal: (signal) => server.kill(signal),
    restart: async () => {
      await server.stop();
      server = await start(portOf(url), portOf(monitorUrl));
    },
    [Symbol.asyncDispose]: stop,
  };
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
