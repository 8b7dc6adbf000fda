import { type Static, Type } from 'typebox';

/** The asymmetric algorithms that tokens may be signed with; there is no way to allow `none` or a shared secret. */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** The parts of the service. A process has one of them, or several. */
export const ROLES = ['api', 'projections', 'processes'] as const;

/** `api` answers requests, `projections` keeps the read models, `processes` reacts to events. */
export type Role = (typeof ROLES)[number];

/** Some of the roles, separated by commas. */
export const LIST_OF_ROLES = `^ *(${ROLES.join('|')}) *(, *(${ROLES.join('|')}) *)*$`;

/** The roles that a list names, in the order of `ROLES`. @param list as the configuration holds it */
export function rolesOf(list: string): readonly Role[] {
  const named = list.split(',').map((name) => name.trim());
  return ROLES.filter((role) => named.includes(role));
}

/** Whether a process with this configuration has a role. */
export function hasRole({ service }: { readonly service: { readonly roles: string } }, role: Role): boolean {
  return rolesOf(service.roles).includes(role);
}

const MINUTE_MS = 60_000;

const whole = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });
const flag = () => Type.Boolean();
const text = (pattern: string, allowed: string) => Type.String({ pattern, allowed });
const file = () => text('', 'the path of a file, or empty');
const secret = (pattern: string, allowed: string) => Type.String({ pattern, allowed, secret: true });
const anySecret = () => secret('', 'text, or empty');
const section = <P extends Record<string, Type.TSchema>>(properties: P) =>
  Type.Object(properties, { additionalProperties: false });

const NAME = '^[A-Za-z0-9_-]{1,32}$';
const NAME_ALLOWED = '1 to 32 letters, digits, - or _';
const API_PREFIX = '[^\\s.*>]+([.][^\\s.*>]+)*';
const SERVER_URLS =
  '^$|^((nats|tls)://)?([^\\s,/@]+@)?[^\\s,/@]+/?(,((nats|tls)://)?([^\\s,/@]+@)?[^\\s,/@]+/?)*$';

const MASTER_KEYS = '^$|^[0-9A-Fa-f]{64}( *, *[0-9A-Fa-f]{64})*$';
const PROXIES = '^$|^[0-9A-Za-z.:/]+(, ?[0-9A-Za-z.:/]+)*$';
const HOSTS = '^$|^[0-9A-Za-z.-]+(, ?[0-9A-Za-z.-]+)*$';
const ORIGIN = 'https?://[^\\s,/@*]+';
const ORIGINS = `^$|^\\*$|^${ORIGIN}(, ?${ORIGIN})*$`;
const TRACE_URL = '^$|^https?://[^\\s@]*\\{traceId\\}[^\\s@]*$';
const JWKS_URL = '^$|^https?://[^\\s@]+$';
const ISSUER_URL = '^$|^https?://[^\\s@?#]+$';
const COLLECTOR = '^$|^https?://\\S+$';
const COLLECTOR_ALLOWED = 'http://host:port or https://host:port, or empty';
const CONTEXT = '[a-z][a-z0-9-]{0,31} *= *(forever|[1-9][0-9]{0,4}[hd])';
const CONTEXTS = `^$|^${CONTEXT}( *, *${CONTEXT})*$`;
const ONE_ALGORITHM = `(${ALGORITHMS.join('|')})`;
const LIST_OF_ALGORITHMS = `^${ONE_ALGORITHM}(, ?${ONE_ALGORITHM})*$`;

/**
 * Every key of the configuration with its type and bounds. What each one means, and its unit, stands in
 * `configs/default.yaml`. `secret` keys are masked wherever the configuration is shown.
 */
export const configSchema = section({
  service: section({
    name: text('^[A-Za-z0-9_.-]{1,64}$', '1 to 64 letters, digits, -, _ or .'),
    roles: text(LIST_OF_ROLES, `of ${ROLES.join(', ')}, several separated by commas`),
    drainMs: whole(0, 10 * MINUTE_MS),
    shutdownTimeoutMs: whole(1_000, 10 * MINUTE_MS),
  }),
  http: section({
    host: text('^\\S+$', 'an address or host name to listen on'),
    port: whole(0, 65_535),
    bodyLimitBytes: whole(1_024, 16 * 1_048_576),
    requestTimeoutMs: whole(100, 10 * MINUTE_MS),
    maxStreams: whole(0, 1_000_000),
    maxStreamsPerCaller: whole(0, 1_000_000),
    maxWaits: whole(1, 1_000_000),
    maxWaitsPerCaller: whole(1, 1_000_000),
    maxLists: whole(1, 1_000_000),
    maxListsPerCaller: whole(1, 1_000_000),
    slowReaderMs: whole(100, 10 * MINUTE_MS),
    streamHeartbeatMs: whole(100, 10 * MINUTE_MS),
    streamBufferEvents: whole(1, 1_000_000),
    streamBufferBytes: whole(1_024, 1_073_741_824),
    streamReplayCommits: whole(1, 10_000_000),
    maxHeaderBytes: whole(1_024, 1_048_576),
    allowedHosts: text(HOSTS, 'host names, several separated by commas, or empty'),
    trustProxy: text(
      PROXIES,
      'addresses, networks (10.0.0.0/8), loopback or uniquelocal, several separated by commas, or empty',
    ),
    requireIdempotencyKey: flag(),
    requireIfMatch: flag(),
    rateLimit: section({ max: whole(0, 1_000_000_000), windowMs: whole(100, 60 * MINUTE_MS) }),
    addressLimit: section({ max: whole(0, 1_000_000), windowMs: whole(100, 24 * 60 * MINUTE_MS) }),
    overload: section({ maxEventLoopDelayMs: whole(0, MINUTE_MS) }),
    cors: section({
      origins: text(ORIGINS, 'https://host, several separated by commas, * for all, or empty'),
    }),
    securityHeaders: flag(),
    hstsSeconds: whole(0, 2 * 365 * 24 * 3_600),
  }),
  auth: section({
    enabled: flag(),
    jwksUrl: text(JWKS_URL, 'https://host/path or http://host/path without user and password, or empty'),
    keyFile: file(),
    issuer: text('', 'text, or empty'),
    audience: text('', 'text, or empty'),
    algorithms: text(LIST_OF_ALGORITHMS, `of ${ALGORITHMS.join(', ')}, several separated by commas`),
    clockSkewSeconds: whole(0, 300),
    maxTokenSeconds: whole(60, 366 * 24 * 3_600),
    userClaim: text('^\\S{1,100}$', 'the name of a claim'),
    scopeClaim: text('^\\S{1,100}$', 'the name of a claim'),
  }),
  console: section({
    oidc: section({
      issuer: text(ISSUER_URL, 'https://host or http://host, a path if it has one, or empty'),
      clientId: text('', 'text, or empty'),
      scope: text('^[!-~]+( [!-~]+)*$', 'scopes separated by blanks'),
    }),
    traceUrl: text(
      TRACE_URL,
      'an address with {traceId} in it, such as https://host/trace/{traceId}, or empty',
    ),
  }),
  nats: section({
    url: text(SERVER_URLS, 'nats://host:port or tls://host:port, several separated by commas, or empty'),
    connectTimeoutMs: whole(100, MINUTE_MS),
    requestTimeoutMs: whole(50, MINUTE_MS),
    inboxPrefix: text('^[A-Za-z0-9_-]{1,64}$', '1 to 64 letters, digits, - or _'),
    apiPrefix: text(`^${API_PREFIX}$`, 'tokens of a subject, such as $JS.API'),
    viewsApiPrefix: text(`^(${API_PREFIX})?$`, 'tokens of a subject, such as $JS.API, or empty'),
    monitorUrls: text('^$|^https?://\\S+$', 'http://host:port, several separated by commas, or empty'),
    credsFile: file(),
    nkeySeedFile: file(),
    token: anySecret(),
    user: text('', 'text, or empty'),
    password: anySecret(),
    tls: section({ caFile: file(), certFile: file(), keyFile: file() }),
    allowInsecure: flag(),
    embedded: section({
      dataDir: text('\\S', 'the path of a folder'),
      port: whole(-1, 65_535),
      binary: file(),
    }),
  }),
  logging: section({
    level: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    pretty: Type.Enum(['auto', 'always', 'never']),
    otlpEndpoint: text(COLLECTOR, COLLECTOR_ALLOWED),
  }),
  log: section({
    stream: text(NAME, NAME_ALLOWED),
    prefix: text(NAME, NAME_ALLOWED),
    replicas: Type.Enum([1, 3, 5]),
    durability: Type.Enum(['always', 'replicated', 'none']),
    assertSyncAlways: flag(),
  }),
  users: section({
    emailKey: secret('^$|^([0-9A-Fa-f]{2}){32,}$', '32 bytes or more in hexadecimal, or empty'),
    keyedFingerprints: flag(),
    staleClaimMs: whole(100, 60 * MINUTE_MS),
  }),
  privacy: section({
    encrypt: Type.Enum(['auto', 'on', 'off']),
    masterKeys: secret(MASTER_KEYS, 'keys of 32 bytes in hexadecimal, several separated by commas, or empty'),
    masterKeyFile: file(),
    masterKeyCommand: text('', 'a program and its arguments, separated by spaces, or empty'),
    lostMasterKeys: text(
      '^$|^[0-9a-f]{16}( *, *[0-9a-f]{16})*$',
      'names as jetledger keys status shows them, separated by commas, or empty',
    ),
    graceMs: whole(0, 365 * 24 * 60 * MINUTE_MS),
  }),
  commands: section({
    cacheEntries: whole(0, 10_000_000),
    cacheMegabytes: whole(1, 1_000_000),
    queueLimit: whole(1, 1_000_000),
    deadlineMs: whole(100, 10 * MINUTE_MS),
    maxBatch: whole(1, 1_000),
    groupCommit: Type.Enum(['auto', 'off']),
    priceMaxAgeMs: whole(0, 10 * MINUTE_MS),
  }),
  reads: section({
    confirm: Type.Enum(['leader', 'quorum']),
  }),
  snapshots: section({
    enabled: flag(),
    maxPerSecond: whole(1, 1_000_000),
    verifyShare: Type.Number({ minimum: 0, maximum: 1 }),
    remakePerSecond: whole(0, 100_000),
    maxMegabytes: whole(1, 1_000_000),
  }),
  projections: section({
    groups: Type.Enum([1, 4, 16, 64]),
    shared: flag(),
    coalesceRows: flag(),
    checkpointIntervalMs: whole(10, MINUTE_MS),
    maxInFlight: whole(1, 10_000),
    rowCacheEntries: whole(0, 10_000_000),
    rowCacheMegabytes: whole(1, 1_000_000),
    sweepPerSecond: whole(0, 1_000_000),
  }),
  lists: section({ dir: text('', 'the path of a folder, or empty') }),
  processes: section({
    groups: Type.Enum([1, 4, 16, 64]),
    paymentDeadlineMs: whole(1_000, 30 * 24 * 60 * MINUTE_MS),
    retryFirstMs: whole(1, MINUTE_MS),
    retryLongestMs: whole(1, 60 * MINUTE_MS),
    retryAttempts: whole(1, 1_000_000),
    parkAfterMs: whole(1_000, 30 * 24 * 60 * MINUTE_MS),
  }),
  payment: section({
    adapter: Type.Enum(['simulated', 'http']),
    url: text('^$|^https?://\\S+$', 'http://host:port or https://host:port, or empty'),
    apiKey: anySecret(),
    timeoutMs: whole(100, MINUTE_MS),
  }),
  notifications: section({
    adapter: Type.Enum(['log', 'webhook']),
    url: text('^$|^https?://\\S+$', 'http://host:port or https://host:port, or empty'),
    secret: anySecret(),
    keepMs: whole(MINUTE_MS, 30 * 24 * 60 * MINUTE_MS),
  }),
  publicEvents: section({
    contexts: text(
      CONTEXTS,
      'context=forever, or for so many hours or days: orders=forever, users=30d; or empty',
    ),
    format: Type.Enum(['protobuf', 'json']),
  }),
  webhooks: section({
    targets: Type.Enum(['public', 'loopback', 'private']),
    timeoutMs: whole(100, MINUTE_MS),
    maxInFlight: whole(1, 1_000),
    giveUpMs: whole(MINUTE_MS, 30 * 24 * 60 * MINUTE_MS),
    keepMs: whole(MINUTE_MS, 30 * 24 * 60 * MINUTE_MS),
  }),
  tracing: section({
    enabled: flag(),
    endpoint: text(COLLECTOR, COLLECTOR_ALLOWED),
    sampleRatio: Type.Number({ minimum: 0, maximum: 1 }),
    followCaller: flag(),
    exportTimeoutMs: whole(100, MINUTE_MS),
    devTraces: whole(0, 10_000),
  }),
  metrics: section({
    enabled: flag(),
    otlpEndpoint: text(COLLECTOR, COLLECTOR_ALLOWED),
    intervalMs: whole(100, 10 * MINUTE_MS),
  }),
});

/** The environments that the service knows; each has its file in `configs/`. */
export const ENVIRONMENTS = ['development', 'test', 'production'] as const;

/** The effective configuration. */
export type Config = Static<typeof configSchema> & {
  /** Chosen by `JETLEDGER_ENV`: one of `ENVIRONMENTS`, or a name of the user's own. */
  readonly environment: string;
};

/** Whether the rules of production hold: everywhere but in development and test. */
export function isProduction({ environment }: Pick<Config, 'environment'>): boolean {
  return environment !== 'development' && environment !== 'test';
}
