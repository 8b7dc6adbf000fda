import type { NatsConnection } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { createEmailKey, type EmailKey } from '../app/email-key.ts';
import {
  createRequests,
  type Log,
  openNatsLog,
  type Requests,
  type StoreObserver,
  smallerBatches,
  systemRuntime,
} from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import { groupCommitMode, guardDurability, readSyncEvidence } from '../platform/durability.ts';
import { loadEmailKey } from '../platform/email-key-file.ts';
import { connectNats, drainAndClose, refuseOpenServer, userOf } from '../platform/nats-connection.ts';
import {
  type EmbeddedServer,
  explainInUse,
  findRunningServer,
  startEmbeddedServer,
} from '../platform/nats-server/embedded.ts';
import { resolveNatsServer } from '../platform/nats-server/resolve.ts';
import { applyTopology, checkEmailKey } from '../platform/topology.ts';
import type { ProjectionSettings } from '../projections/engine/index.ts';

import { streamsOf } from './topology.ts';

/** Requests on a connection to `url`, which know as whom it is logged in. */
export async function openRequests(
  connection: NatsConnection,
  url: string,
  nats: Config['nats'],
): Promise<Requests> {
  const { inboxPrefix, apiPrefix } = nats;
  return createRequests(connection, { inboxPrefix, apiPrefix, user: await userOf(url, nats) });
}

/** The same requests, for the buckets of views, which may be in another account. */
export function requestsForViews(requests: Requests, { viewsApiPrefix }: Config['nats']): Requests {
  return viewsApiPrefix === '' ? requests : { ...requests, apiPrefix: viewsApiPrefix };
}

const TELL_AGAIN_MS = 60_000;

/** Logs what NATS denies: a line for each kind of subject and not for each aggregate, and again after a minute. */
function tellDenials(requests: Requests, logger: Logger): void {
  const told = new Map<string, number>();
  requests.onDenied(({ operation, subject, user: natsUser, message }) => {
    const kind = `${operation} ${kindOf(operation, subject)}`;
    const now = systemRuntime.now();
    if (now - (told.get(kind) ?? 0) < TELL_AGAIN_MS) return;
    told.set(kind, now);
    logger.error({ operation, subject, natsUser }, message);
  });
}

/** A category or bucket, a call of JetStream's API, or the prefix of an inbox. */
function kindOf(operation: 'publish' | 'subscribe', subject: string): string {
  const tokens = subject.split('.');
  if (operation === 'subscribe') return tokens[0] ?? '';
  return tokens.slice(0, tokens[1] === 'API' ? 5 : 2).join('.');
}

/** How the views are fed: as fast as they can, or, with `coalesceRows: false`, one commit at a time until it is stored. */
export function feedOfViews(
  log: Log,
  { coalesceRows }: Pick<Config['projections'], 'coalesceRows'>,
): { readonly log: Log; readonly settings: Partial<ProjectionSettings> } {
  return coalesceRows ? { log, settings: {} } : { log: oneByOne(log), settings: { maxBacklog: 1 } };
}

/** The same log, whose scans hand out single commits. */
function oneByOne(log: Log): Log {
  return {
    ...log,
    scan: async function* (options) {
      for await (const batch of log.scan(options)) yield* smallerBatches(batch, 1);
    },
  };
}

/** A connected NATS server, with what belongs to it. */
export interface Nats {
  readonly connection: NatsConnection;
  readonly requests: Requests;
  /** For the buckets of views. */
  readonly viewRequests: Requests;
  readonly emailKey: EmailKey;
  /** Where the servers' monitoring answers, as far as it is known. */
  readonly monitorUrls: readonly string[];
  /** The server that this process started, if it did. */
  readonly embedded: EmbeddedServer | undefined;
  close(): Promise<void>;
}

/**
 * Connects to the configured server, or to the embedded one.
 * @param mode `own` starts the embedded server and refuses when it runs already; `join` uses the one that runs;
 *   `bare` does too, and creates nothing on it
 * @throws NatsUnusable, NatsServerError: one line that says what to do
 */
export async function openNats(
  config: Config,
  mode: 'own' | 'join' | 'bare',
  logger?: Logger,
): Promise<Nats> {
  const { nats } = config;
  const running =
    nats.url === '' && mode !== 'own' ? await findRunningServer(nats.embedded.dataDir) : undefined;
  const start = () =>
    startEmbedded(config, logger).catch(async (error) => {
      throw mode === 'own' ? error : await explainInUse(error, nats.embedded.dataDir);
    });
  const embedded = nats.url === '' && running === undefined ? await start() : undefined;
  try {
    const url = nats.url || (embedded ?? running)?.url || '';
    const emailKey = createEmailKey(await loadEmailKey(config));
    const connection = await connectTrusted(url, config);
    const requests = await openRequests(connection, url, nats);
    if (logger !== undefined) tellDenials(requests, logger);
    if (embedded !== undefined && mode !== 'bare') {
      await applyTopology({
        requests,
        log: config.log,
        emailKeyCheck: emailKey.check,
        streams: streamsOf(config),
      });
    }
    return {
      connection,
      requests,
      viewRequests: requestsForViews(requests, nats),
      emailKey,
      embedded,
      monitorUrls: monitorUrls(config, (embedded ?? running)?.monitorUrl),
      close: async () => {
        requests.close();
        try {
          await drainAndClose(connection, nats.requestTimeoutMs);
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

async function connectTrusted(url: string, config: Config): Promise<NatsConnection> {
  const connection = await connectNats(url, config.nats, config.service.name);
  try {
    refuseOpenServer(connection, url, config);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

const PROGRESS_EVERY_MS = 5_000;
const READ_BACK_WITHIN_MS = 15 * 60_000;

async function startEmbedded(config: Config, logger?: Logger): Promise<EmbeddedServer> {
  const { dataDir, port, binary } = config.nats.embedded;
  const resolved = await resolveNatsServer({
    explicit: binary,
    cacheDir: `${dataDir}/nats-server`,
    onProgress: (line) => logger?.info(line),
  });
  const startedAt = Date.now();
  // After a power cut the server reads its whole log back first, about a minute for five million events.
  const patience = setInterval(() => {
    const seconds = Math.round((Date.now() - startedAt) / 1_000);
    logger?.info(`waiting for nats-server, which reads its data back (${seconds} s)`);
  }, PROGRESS_EVERY_MS);
  try {
    return await startEmbeddedServer({
      binary: resolved,
      dataDir,
      port,
      syncAlways: config.log.durability !== 'none',
      serverName: 'jetledger',
      readyTimeoutMs: READ_BACK_WITHIN_MS,
    });
  } finally {
    clearInterval(patience);
  }
}

function monitorUrls({ nats }: Config, embedded: string | undefined): readonly string[] {
  if (embedded !== undefined) return [embedded];
  return nats.monitorUrls === '' ? [] : nats.monitorUrls.split(',').map((url) => url.trim());
}

/**
 * The log of a connected server, once everything says that it can be trusted.
 * @param warn is told what production would refuse to run with
 * @throws UnsafeLog, NatsUnusable, EventStoreError `log/missing`
 */
export async function openLog(
  config: Config,
  nats: Nats,
  warn: (problem: string) => void,
  observer?: StoreObserver,
): Promise<Log> {
  const { requests, emailKey } = nats;
  const { stream, prefix } = config.log;
  const deadlineMs = config.nats.requestTimeoutMs;
  const evidence = await readSyncEvidence(nats.monitorUrls);
  const { log, config: stored } = await openNatsLog({
    requests,
    runtime: systemRuntime,
    stream,
    prefix,
    deadlineMs,
    attemptTimeoutMs: Math.ceil(deadlineMs / 2),
    groupCommit: groupCommitMode(config, evidence),
    confirm: config.reads.confirm,
    observer,
    howToCreate: 'Create it with: jetledger topology apply',
  });
  checkEmailKey(stored, emailKey.check);
  guardDurability(config, stored.num_replicas, evidence, warn);
  return log;
}
