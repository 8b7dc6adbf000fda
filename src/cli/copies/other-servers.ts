import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Log, openNatsLog, type Requests, systemRuntime } from '../../eventstore/index.ts';
import { openRequests } from '../../ledger/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { connectNats } from '../../platform/nats-connection.ts';
import { startEmbeddedServer } from '../../platform/nats-server/embedded.ts';
import { resolveNatsServer } from '../../platform/nats-server/resolve.ts';

/** Work with a nats-server of its own on loopback and the folder of its data, both gone afterwards. */
export async function withThrowawayServer<T>(
  { nats }: Config,
  work: (url: string, dataDir: string) => Promise<T>,
): Promise<T> {
  const { binary: explicit, dataDir: ownDataDir } = nats.embedded;
  const binary = await resolveNatsServer({ explicit, cacheDir: `${ownDataDir}/nats-server` });
  const dataDir = await mkdtemp(join(tmpdir(), 'jetledger-verify-'));
  try {
    const server = await startEmbeddedServer({
      binary,
      dataDir,
      port: -1,
      monitorPort: -1,
      syncAlways: false,
    });
    try {
      return await work(server.url, dataDir);
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

/**
 * The configuration for a server of our own: its address says as whom to log in, and JetStream is in that user's account.
 */
export function withoutLogin(config: Config): Config {
  const nats: Config['nats'] = {
    ...config.nats,
    apiPrefix: '$JS.API',
    viewsApiPrefix: '',
    credsFile: '',
    nkeySeedFile: '',
    token: '',
    user: '',
    password: '',
    tls: { caFile: '', certFile: '', keyFile: '' },
  };
  return { ...config, nats };
}

/** Work on a server at an address, as the configuration says to log in. */
export async function withRequestsAt<T>(
  { nats, service }: Config,
  url: string,
  work: (requests: Requests) => Promise<T>,
): Promise<T> {
  const connection = await connectNats(url, nats, service.name);
  const requests = await openRequests(connection, url, nats);
  try {
    return await work(requests);
  } finally {
    requests.close();
    await connection.close();
  }
}

/** The log on a server, whatever is said of how it is kept there. */
export async function logOn({ log: { stream, prefix }, nats }: Config, requests: Requests): Promise<Log> {
  const deadlineMs = nats.requestTimeoutMs;
  const options = { requests, runtime: systemRuntime, stream, prefix, deadlineMs };
  return (await openNatsLog({ ...options, attemptTimeoutMs: deadlineMs })).log;
}
