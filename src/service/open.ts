import type { Logger } from 'pino';
import { createEmailKey, type EmailKey } from '../app/email-key.ts';
import {
  createMasterKeys,
  type Forgetting,
  type Log,
  type OpenedLog,
  type PersonalData,
  type Requests,
  type StoreObserver,
  systemRuntime,
  UnknownMasterKey,
  WITHOUT_KEYS,
} from '../eventstore/index.ts';
import {
  openForgetting,
  openPersonal,
  openServer,
  openLog as openTrustedLog,
  type Server,
} from '../ledger/index.ts';
import { type Config, hasRole, isProduction } from '../platform/config/schema.ts';
import { loadEmailKey, loadMasterKeys } from '../platform/key-files.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { applyTopology, checkEmailKey, encryptsNew } from '../platform/topology.ts';
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
  /** What persons' keys are wrapped with: the first wraps, the others still unwrap; none where none is configured. */
  readonly masterKeys: readonly Uint8Array[];
}

/** What is to be known for making a log: whether it is encrypted, and whether there is a key for that. */
export function newLogPrivacy(
  { privacy }: Pick<Config, 'privacy'>,
  { masterKeys }: Pick<Nats, 'masterKeys'>,
) {
  return { encrypt: privacy.encrypt !== 'off', hasMasterKey: masterKeys.length > 0 };
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
  const masterKeys = await loadMasterKeys(config);
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
        privacy: newLogPrivacy(config, { masterKeys }),
        streams: streamsOf(config),
        monitorUrls: [embedded.monitorUrl],
      });
    }
    return { ...server, viewRequests: requestsForViews(requests, nats), emailKey, masterKeys };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/**
 * How a process deals with personal data.
 * @param encrypt whether it seals them in new events
 * @throws NatsUnusable where a master key is missing that keys are wrapped with, and is not said to be lost
 */
export async function openPersonalData(
  { log, nats, privacy }: Pick<Config, 'log' | 'nats' | 'privacy'>,
  { requests, masterKeys }: Pick<Nats, 'requests' | 'masterKeys'>,
  encrypt: boolean,
): Promise<PersonalData> {
  const [current, ...former] = masterKeys;
  const masters = current && createMasterKeys(current, former);
  const lostMasters = lostMasterKeys({ privacy });
  try {
    return await openPersonal({
      requests,
      prefix: log.prefix,
      replicas: log.replicas,
      requestTimeoutMs: nats.requestTimeoutMs,
      personal: masters && { masters, encrypt, lostMasters },
    });
  } catch (error) {
    if (error instanceof UnknownMasterKey) throw new NatsUnusable(missingMasterKey(error.master), error);
    throw error;
  }
}

const missingMasterKey = (name: string): string =>
  `Keys of persons are wrapped with the master key ${name}, which is not among those given: put it back behind the one ` +
  'that is given (privacy.masterKeys, or the file that holds them). If it is gone for good, and with it the names and ' +
  `addresses under it, say so: privacy.lostMasterKeys: ${name} (docs/privacy.md).`;

/** Names of master keys that are gone for good, as the configuration says. */
export function lostMasterKeys({ privacy }: Pick<Config, 'privacy'>): readonly string[] {
  return privacy.lostMasterKeys.split(/[\s,]+/).filter((name) => name !== '');
}

/** What forgets persons on a server, once whatever is left of it has been ended. @throws as `openForgetting` */
export function openLedgerOfForgotten(
  { log, nats }: Pick<Config, 'log' | 'nats'>,
  { requests }: Pick<Nats, 'requests'>,
): Promise<Forgetting> {
  const { prefix, replicas } = log;
  return openForgetting({ requests, prefix, replicas, requestTimeoutMs: nats.requestTimeoutMs });
}

/**
 * The log of a connected server, once everything says that it can be trusted.
 * @param warn is told what production would refuse to run with
 * @throws UnsafeLog, NatsUnusable, EventStoreError `log/missing`
 */
export async function openLog(config: Config, nats: Nats, warn: (problem: string) => void): Promise<Log> {
  return (await openStoredLog(config, nats, warn)).log;
}

/** The same for a process of the service, with what seals and opens personal data. @throws as `openLog` */
export async function openLogAndPersonal(
  config: Config,
  nats: Nats,
  warn: (problem: string) => void,
  observer?: StoreObserver,
): Promise<{
  readonly log: Log;
  readonly personal: PersonalData;
  readonly forgetting: Forgetting | undefined;
}> {
  const { log, config: stored } = await openStoredLog(config, nats, warn, observer);
  // Views hold what is sealed as it is.
  if (!hasRole(config, 'api') && !hasRole(config, 'processes'))
    return { log, personal: WITHOUT_KEYS, forgetting: undefined };
  const encrypt = encryptsNew(config.privacy.encrypt, stored);
  const holdsSealed = encrypt || encryptsNew('auto', stored);
  if (holdsSealed && nats.masterKeys.length === 0) throw new NatsUnusable(NO_MASTER_KEY);
  const personal = await openPersonalData(config, nats, encrypt);
  // Whoever may make keys ends what a crash has left of forgetting somebody.
  const forgets = encrypt && hasRole(config, 'api');
  const forgetting = forgets ? await openLedgerOfForgotten(config, nats) : undefined;
  return { log, personal, forgetting };
}

const NO_MASTER_KEY =
  'The events of this log are encrypted and there is no master key: set privacy.masterKeys, privacy.masterKeyFile or ' +
  'privacy.masterKeyCommand to what its keys are wrapped with (docs/security.md).';

/** The same for a command that appends and reads what is sealed; says nothing of an unsafe log. @throws as `openLog` */
export async function quietLogAndPersonal(
  config: Config,
  nats: Nats,
): Promise<{ readonly log: Log; readonly personal: PersonalData }> {
  const quiet = { ...config, environment: 'development' } as const;
  const { log, config: stored } = await openStoredLog(quiet, nats, () => undefined);
  return { log, personal: await openPersonalData(config, nats, encryptsNew(config.privacy.encrypt, stored)) };
}

async function openStoredLog(
  config: Config,
  nats: Nats,
  warn: (problem: string) => void,
  observer?: StoreObserver,
): Promise<OpenedLog> {
  const opened = await openTrustedLog({
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
  checkEmailKey(opened.config, nats.emailKey.check);
  return opened;
}
