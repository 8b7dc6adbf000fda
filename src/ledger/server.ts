import type { NatsConnection } from '@nats-io/transport-node';
import { createRequests, type Requests } from '../eventstore/index.ts';
import {
  connectNats,
  drainAndClose,
  type NatsSettings,
  natsUserOf,
  refuseOpenServer,
} from '../platform/nats-connection.ts';
import {
  type EmbeddedServer,
  explainInUse,
  findRunningServer,
  startEmbeddedServer,
} from '../platform/nats-server/embedded.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';

/** Which NATS is used, and how it is asked. Times in milliseconds. */
export interface ServerSettings extends NatsSettings {
  /** How long one request may take, repetitions included. */
  readonly requestTimeoutMs: number;
  /** Where JetStream's API answers. */
  readonly apiPrefix: string;
  /** `http://host:port` of the servers' monitoring, separated by commas; empty = not known. */
  readonly monitorUrls: string;
  /** The server that is started where `url` is empty. */
  readonly embedded: {
    /** Folder of its data, one process at a time. */
    readonly dataDir: string;
    /** Client port on 127.0.0.1; -1 = any free one. */
    readonly port: number;
    /** Path of the nats-server program; empty = look for one, and fetch it into `dataDir` when there is none. */
    readonly binary: string;
  };
}

/** What opening a server is told beside its settings. */
export interface OpenServerOptions {
  /** The name that the server shows for this connection. */
  readonly name: string;
  /** Whether the embedded server syncs to disk before it acknowledges. */
  readonly syncAlways: boolean;
  /** Whether a server that lets everybody in is refused, unless `allowInsecure` says that it is meant. */
  readonly production: boolean;
  /** `own` starts the embedded server and refuses when it runs already; `join` uses the one that runs. */
  readonly mode: 'own' | 'join';
  /** Gets a line at a time while a server is fetched, or reads its data back. */
  readonly onProgress?: ((line: string) => void) | undefined;
}

/** A connected NATS server. */
export interface Server {
  readonly connection: NatsConnection;
  readonly requests: Requests;
  /** Where the servers' monitoring answers, as far as it is known. */
  readonly monitorUrls: readonly string[];
  /** The server that this process started, if it did. */
  readonly embedded: EmbeddedServer | undefined;
  /** Sends what waits, closes the connection, and ends the embedded server. */
  close(): Promise<void>;
}

/** Requests on a connection to `url`, which know as whom it is logged in. */
export async function openRequests(
  connection: NatsConnection,
  url: string,
  settings: NatsSettings & Pick<ServerSettings, 'apiPrefix'>,
): Promise<Requests> {
  const { inboxPrefix, apiPrefix } = settings;
  return createRequests(connection, { inboxPrefix, apiPrefix, user: await natsUserOf(url, settings) });
}

/**
 * Connects to the server of the settings, or to the embedded one.
 * @throws NatsUnusable, NatsServerError: one line that says what to do
 */
export async function openServer(settings: ServerSettings, options: OpenServerOptions): Promise<Server> {
  const { dataDir } = settings.embedded;
  const own = options.mode === 'own';
  const running = settings.url === '' && !own ? await findRunningServer(dataDir) : undefined;
  const start = () =>
    startEmbedded(settings, options).catch(async (error) => {
      throw own ? error : await explainInUse(error, dataDir);
    });
  const embedded = settings.url === '' && running === undefined ? await start() : undefined;
  try {
    const url = settings.url || (embedded ?? running)?.url || '';
    const connection = await connectTrusted(url, settings, options);
    const requests = await openRequests(connection, url, settings);
    return {
      connection,
      requests,
      embedded,
      monitorUrls: monitorUrls(settings, (embedded ?? running)?.monitorUrl),
      close: async () => {
        requests.close();
        try {
          await drainAndClose(connection, settings.requestTimeoutMs);
        } finally {
          await embedded?.stop();
        }
      },
    };
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

async function connectTrusted(
  url: string,
  settings: ServerSettings,
  { name, production }: OpenServerOptions,
): Promise<NatsConnection> {
  const connection = await connectNats(url, settings, name);
  try {
    refuseOpenServer(connection, url, { production, allowInsecure: settings.allowInsecure });
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

const PROGRESS_EVERY_MS = 5_000;
const READ_BACK_WITHIN_MS = 15 * 60_000;

async function startEmbedded(
  { embedded }: ServerSettings,
  { syncAlways, onProgress = () => undefined }: OpenServerOptions,
): Promise<EmbeddedServer> {
  const { dataDir, port, binary } = embedded;
  const resolved = await resolveNatsServer({
    explicit: binary,
    cacheDir: `${dataDir}/nats-server`,
    onProgress,
  });
  const startedAt = Date.now();
  // After a power cut the server reads its whole log back first, about a minute for five million events.
  const patience = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    onProgress(`waiting for nats-server, which reads its data back (${seconds} s)`);
  }, PROGRESS_EVERY_MS);
  try {
    return await startEmbeddedServer({
      binary: resolved,
      dataDir,
      port,
      syncAlways,
      serverName: 'jetledger',
      readyTimeoutMs: READ_BACK_WITHIN_MS,
    });
  } finally {
    clearInterval(patience);
  }
}

function monitorUrls(settings: ServerSettings, embedded: string | undefined): readonly string[] {
  if (embedded !== undefined) return [embedded];
  return settings.monitorUrls === '' ? [] : settings.monitorUrls.split(',').map((url) => url.trim());
}
