import type { Logger } from 'pino';
import { createEmailKey, type EmailKey } from '../app/email-key.ts';
import { type Log, type Requests, type StoreObserver, systemRuntime } from '../eventstore/index.ts';
import { openServer, openLog as openTrustedLog, type Server } from '../ledger/index.ts';
import { type Config, isProduction } from '../platform/config/schema.ts';
import { loadEmailKey } from '../platform/email-key-file.ts';
import { applyTopology, checkEmailKey } from '../platform/topology.ts';
import { streamsOf } from './topology.ts';

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

/** A connected NATS server, with what belongs to it. */
export interface Nats extends Server {
  /** For the buckets of views. */
  readonly viewRequests: Requests;
  readonly emailKey: EmailKey;
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
  const emailKey = createEmailKey(await loadEmailKey(config));
  const server = await openServer(nats, {
    name: config.service.name,
    syncAlways: config.log.durability !== 'none',
    production: isProduction(config),
    mode: mode === 'own' ? 'own' : 'join',
    onProgress: (line) => logger?.info(line),
  });
  try {
    const { requests, embedded } = server;
    if (logger !== undefined) tellDenials(requests, logger);
    if (embedded !== undefined && mode !== 'bare') {
      await applyTopology({
        requests,
        log: config.log,
        emailKeyCheck: emailKey.check,
        streams: streamsOf(config),
        monitorUrls: [embedded.monitorUrl],
      });
    }
    return { ...server, viewRequests: requestsForViews(requests, nats), emailKey };
  } catch (error) {
    await server.close();
    throw error;
  }
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
  const { log, config: stored } = await openTrustedLog({
    server: nats,
    log: config.log,
    commands: config.commands,
    confirm: config.reads.confirm,
    requestTimeoutMs: config.nats.requestTimeoutMs,
    production: isProduction(config),
    warn,
    observer,
    howToCreate: 'Create it with: jetledger topology apply',
  });
  checkEmailKey(stored, nats.emailKey.check);
  return log;
}
