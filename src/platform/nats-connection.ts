import { readFile } from 'node:fs/promises';
import {
  connect,
  credsAuthenticator,
  type NatsConnection,
  type NodeConnectionOptions,
  nkeyAuthenticator,
  nkeys,
} from '@nats-io/transport-node';
import { reasonOf } from '../eventstore/index.ts';
import { maskUrl } from './mask-url.ts';
import { isAtLeast, MINIMUM_VERSION } from './nats-server/version.ts';

/** How to log in, where addresses say it. */
export interface AddressLogin {
  readonly user?: string;
  readonly pass?: string;
  readonly token?: string;
}

export interface NatsAddresses {
  /** Addresses without credentials, as the client library takes them: it ignores what stands before an `@`. */
  readonly servers: readonly string[];
  /** The credentials of each address that has some, decoded; `user:password@` or `token@`. */
  readonly logins: readonly AddressLogin[];
}

const ADDRESS = /^([a-z]+:\/\/)?(?:([^@]*)@)?([^@]*)$/i;

/** How to reach a server, and as whom. Texts are empty where nothing is set; times in milliseconds. */
export interface NatsSettings {
  /** `nats://host:port` or `tls://host:port`, several separated by commas; empty = the embedded server. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly inboxPrefix: string;
  readonly credsFile: string;
  readonly nkeySeedFile: string;
  readonly token: string;
  readonly user: string;
  readonly password: string;
  /** Paths of PEM files. */
  readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
  /** True = production may use a server without TLS or without a login. */
  readonly allowInsecure: boolean;
}

/** Takes apart what `nats.url` holds: addresses separated by commas. */
export function readAddresses(url: string): NatsAddresses {
  const parts = url.split(',').map((address) => ADDRESS.exec(address) ?? [address, '', '', address]);
  return {
    servers: parts.map(([, scheme = '', , host = '']) => scheme + host),
    logins: parts.flatMap(([, , credentials = '']) => (credentials === '' ? [] : [loginOf(credentials)])),
  };
}

/** Whether the addresses name at most one login: a process has one user, whichever server it is connected to. */
export function agreeOnLogin(url: string): boolean {
  const logins = readAddresses(url).logins.map((login) => JSON.stringify(login));
  return new Set(logins).size <= 1;
}

/** Whether a client with these settings talks over TLS or not at all: an address or a file of `nats.tls` says so. */
export function demandsTls({ url, tls }: Pick<NatsSettings, 'url' | 'tls'>): boolean {
  const schemes = readAddresses(url).servers.map((server) => server.split('://', 1)[0]?.toLowerCase());
  return schemes.includes('tls') || Object.values(tls).some((path) => path !== '');
}

/** Whether a client with these settings says who it is. */
export function hasLogin(nats: NatsSettings): boolean {
  const { url, credsFile, nkeySeedFile, token, user, tls } = nats;
  const named = [credsFile, nkeySeedFile, token, user, tls.certFile].some((value) => value !== '');
  return named || readAddresses(url).logins.length > 0;
}

function loginOf(credentials: string): AddressLogin {
  const [user = '', ...rest] = credentials.split(':');
  if (rest.length === 0) return { token: decoded(user) };
  return { user: decoded(user), pass: decoded(rest.join(':')) };
}

/** A password may hold any character when it is written as `%40` and the like; one that is no such text is meant as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Sends what waits, and closes the connection.
 * @param withinMs how long the server may take to confirm that it has everything; without it the connection is closed
 *   all the same
 * @throws Error when the server did not confirm it
 */
export async function drainAndClose(connection: NatsConnection, withinMs: number): Promise<void> {
  if (connection.isClosed()) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Error(`the server did not confirm within ${withinMs} ms`));
    timer = setTimeout(fail, withinMs);
  });
  try {
    await Promise.race([connection.drain(), late]);
  } finally {
    clearTimeout(timer);
    await connection.close();
  }
}

/** The NATS server cannot be used; the message is one line that says what to do. */
export class NatsUnusable extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'NatsUnusable';
  }
}

const RECONNECT_FIRST_MS = 50;
const RECONNECT_LONGEST_MS = 2_000;
/**
 * Three of these are less than the earliest election of a cluster: a client of a leader that was paused leaves it before
 * a new leader can acknowledge anything, so no "confirmed" read is answered by a leader of the past.
 */
const PING_MS = 700;

/** How long to wait between attempts to reconnect. */
export interface ReconnectDelays {
  /** Since the last attempt, in milliseconds. The client asks again and again while it waits: the answer stays the same. */
  current(): number;
  /** An attempt begins. */
  attempted(): void;
  /** One succeeded. */
  reset(): void;
}

/** Doubled with each attempt up to 2 s, with jitter in the upper half, so that clients do not come back all at once. */
export function reconnectDelays(random: () => number): ReconnectDelays {
  let ceiling = RECONNECT_FIRST_MS;
  let delay: number | undefined;
  const startFrom = (next: number): void => {
    ceiling = Math.min(RECONNECT_LONGEST_MS, next);
    delay = undefined;
  };
  return {
    current: () => {
      delay ??= ceiling / 2 + (ceiling / 2) * random();
      return delay;
    },
    attempted: () => startFrom(ceiling * 2),
    reset: () => startFrom(RECONNECT_FIRST_MS),
  };
}

/**
 * Connects to the server at `url`, and reconnects for ever once connected.
 * @throws NatsUnusable when it cannot be reached within the configured time, refuses the login, or is too old
 */
export async function connectNats(url: string, nats: NatsSettings, name: string): Promise<NatsConnection> {
  const delays = reconnectDelays(Math.random);
  const { servers, logins } = readAddresses(url);
  const [named] = logins;
  const login = named === undefined ? await loginOptions(nats) : named;
  let connection: NatsConnection;
  try {
    connection = await connect({
      ...login,
      ...tlsOptions(url, nats),
      inboxPrefix: nats.inboxPrefix,
      servers: [...servers],
      name,
      timeout: nats.connectTimeoutMs,
      noAsyncTraces: true,
      maxReconnectAttempts: -1,
      reconnectDelayHandler: delays.current,
      ignoreAuthErrorAbort: true,
      pingInterval: PING_MS,
      maxPingOut: 2,
    });
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new NatsUnusable(`NATS at ${maskUrl(url)} cannot be used (${reason}). ${adviceFor(reason)}`, cause);
  }
  void followAttempts(connection, delays);
  const version = connection.info?.version ?? '0.0.0';
  if (!isAtLeast(version, MINIMUM_VERSION)) {
    await connection.close();
    throw new NatsUnusable(
      `NATS at ${maskUrl(url)} is version ${version}; JetLedger needs ${MINIMUM_VERSION} or later.`,
    );
  }
  return connection;
}

/**
 * Production uses no server that anybody may write to, unless `nats.allowInsecure` says that it is meant.
 * @throws NatsUnusable
 */
export function refuseOpenServer(
  { info }: NatsConnection,
  url: string,
  { production, allowInsecure }: { readonly production: boolean; readonly allowInsecure: boolean },
): void {
  const asks = info?.auth_required === true || info?.tls_verify === true;
  if (asks || allowInsecure || !production) return;
  throw new NatsUnusable(
    `NATS at ${maskUrl(url)} lets everybody in, whatever they log in with. Give it users (configs/nats/users.conf), or, ` +
      'if this is meant, set nats.allowInsecure (JETLEDGER_NATS__ALLOW_INSECURE) to true.',
  );
}

async function followAttempts(connection: NatsConnection, delays: ReconnectDelays): Promise<void> {
  for await (const { type } of connection.status()) {
    if (type === 'reconnecting') delays.attempted();
    if (type === 'reconnect') delays.reset();
  }
}

/** Why nobody may answer a call that changes the log. */
export const GUARDED =
  'If configs/nats guards the log, take the guard off first: docs/operations.md, "Break glass".';
const LOGIN =
  'Log in by one of nats.nkeySeedFile, nats.credsFile, nats.token, or nats.user and nats.password, as one whom the server knows.';
const START = 'Start it, or set NATS_URL (empty = embedded server).';

const HANGS =
  'Nothing answers there: restart a server that hangs, open the way to it, or set NATS_URL to another.';
const EXPIRED =
  'Renew the certificate of the server and reload it (nats-server --signal reload); if the certificate is new, set the clock of this machine right.';
const UNKNOWN_AUTHORITY = 'Name the authority that has signed its certificate: nats.tls.caFile.';
const NO_TLS = 'Give it a certificate (configs/nats/common.conf), or name it without tls:// and nats.tls.';
const OTHER_HOST = 'Use an address that its certificate names, or make a certificate that names this one.';

/** What cures a failure to connect, by what its reason says. */
const CURES: readonly (readonly [RegExp, string])[] = [
  [/authorization|authentication/i, LOGIN],
  [/certificate has expired|certificate is not yet valid/i, EXPIRED],
  [/self.signed|issuer certificate|verify the first certificate/i, UNKNOWN_AUTHORITY],
  [/altnames/i, OTHER_HOST],
  [/does not support 'tls'/i, NO_TLS],
  [/timeout/i, HANGS],
];

function adviceFor(reason: string): string {
  return CURES.find(([pattern]) => pattern.test(reason))?.[1] ?? START;
}

// With `tls`, even empty, the client library refuses a server without; the scheme of an address means nothing to it.
function tlsOptions(url: string, { tls }: NatsSettings): NodeConnectionOptions {
  const files = Object.entries(tls).filter(([, path]) => path !== '');
  return demandsTls({ url, tls }) ? { tls: Object.fromEntries(files) } : {};
}

async function loginOptions(nats: NatsSettings): Promise<NodeConnectionOptions> {
  const { credsFile, nkeySeedFile, token, user, password } = nats;
  return {
    ...(credsFile === ''
      ? {}
      : { authenticator: credsAuthenticator(await secretFile('credsFile', credsFile)) }),
    ...(nkeySeedFile === '' ? {} : { authenticator: nkeyAuthenticator(await readSeed(nkeySeedFile)) }),
    ...(token === '' ? {} : { token }),
    ...(user === '' ? {} : { user, pass: password }),
  };
}

/** As whom a process logs in at `url`, for people; undefined where it does not say who it is. Never a secret. */
export async function natsUserOf(url: string, nats: NatsSettings): Promise<string | undefined> {
  const [named] = readAddresses(url).logins;
  const user = named === undefined ? nats.user : named.user;
  if (user) return `the user ${user}`;
  if (named !== undefined || nats.nkeySeedFile === '') return undefined;
  return `the user with the NKEY ${nkeys.fromSeed(await readSeed(nats.nkeySeedFile)).getPublicKey()}`;
}

/** A user's seed: `SU` and 56 more characters. Comments around it, as key tools write them, are passed over. */
const USER_SEED = /^\s*(SU[A-Z2-7]{56})\s*$/m;

async function readSeed(path: string): Promise<Uint8Array> {
  const seed = USER_SEED.exec((await secretFile('nkeySeedFile', path)).toString('utf8'))?.[1];
  if (seed !== undefined) return Buffer.from(seed);
  throw new NatsUnusable(
    `nats.nkeySeedFile: ${path} holds no seed of an NKEY user (a line that begins with SU). Make one: npm run nats:users`,
  );
}

async function secretFile(key: 'credsFile' | 'nkeySeedFile', path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    throw new NatsUnusable(`nats.${key}: ${path} cannot be read (${code}).`, cause);
  }
}
