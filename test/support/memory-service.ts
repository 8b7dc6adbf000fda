import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { buildApp } from '../../src/api/app.ts';
import type { ApiSettings, AppDeps } from '../../src/api/deps.ts';
import type { Situation } from '../../src/api/operators/ports.ts';
import { createUseCases } from '../../src/app/create-use-cases.ts';
import { createEmailKey } from '../../src/app/email-key.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { type PersonalData, WITHOUT_KEYS } from '../../src/eventstore/personal/personal-data.ts';
import { type Runtime, systemRuntime } from '../../src/eventstore/runtime.ts';
import { configDir, settingSources } from '../../src/platform/config/load.ts';
import { refusalOf } from '../../src/processes/delivery/adapters/dial.ts';
import { createDeadLetterPort } from '../../src/processes/engine/dead-letters/operator-port.ts';
import type { TimerList } from '../../src/processes/engine/timers/timer-list.ts';
import type { Buckets } from '../../src/projections/engine/aliases.ts';
import { createViewReader, startProjections } from '../../src/projections/engine/index.ts';
import { createLiveOrders } from '../../src/projections/views/live-orders.ts';
import { createConsumersAdmin, readOpenWork } from '../../src/service/consumers-admin.ts';
import { createAggregates } from '../../src/service/operators/aggregates.ts';
import { createBackupsAdmin } from '../../src/service/operators/backups.ts';
import { createConfigurationAdmin } from '../../src/service/operators/configuration.ts';
import { createFunnel } from '../../src/service/operators/funnel.ts';
import { createLogTail } from '../../src/service/operators/log-tail.ts';
import { createWebhooksAdmin } from '../../src/service/operators/outgoing.ts';
import { createRequests } from '../../src/service/operators/requests.ts';
import { createWaiting } from '../../src/service/operators/waiting.ts';
import { documentOf, publicTypes } from '../../src/service/public-events.ts';
import { views as allViews, apiModules, hiddenFields, timers as kinds } from '../../src/service/shop.ts';
import { createSkips } from '../../src/service/skips.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../src/testing/memory-bucket.ts';
import { createMemoryIndexes } from '../../src/testing/memory-indexes.ts';
import { createMemoryLog } from '../../src/testing/memory-log.ts';
import { createMemoryTimerStore, type MemoryTimerStore } from '../../src/testing/memory-timers.ts';

/** The whole service on a log in memory, reached with `app.inject`. */
export interface MemoryService extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly log: Log;
  /** Where tests plant what the engine of the processes would write. */
  readonly buckets: Buckets;
  /** Where tests arm timers. */
  readonly timers: MemoryTimerStore;
  readonly deps: AppDeps;
}

export interface MemoryServiceOptions {
  /** Replaces parts, for example a handler that fails. */
  readonly override?: Partial<AppDeps>;
  readonly logger?: FastifyBaseLogger;
  /** A clock and ids other than `fixedRuntime`'s. */
  readonly runtime?: Runtime;
  /** What seals and opens personal data; nothing is sealed unless given. */
  readonly personal?: PersonalData;
  /** The traces that it keeps; none unless given. */
  readonly traces?: AppDeps['admin']['traces'];
}

/** Milliseconds at which every test begins. */
export const TEST_EPOCH = Date.UTC(2026, 0, 15, 9, 30);

/** As a test's service is set up unless it says otherwise. */
export const TEST_SETTINGS: ApiSettings = {
  host: '127.0.0.1',
  // Tests on sockets call it so.
  allowedHosts: 'a',
  bodyLimitBytes: 65_536,
  requestTimeoutMs: 5_000,
  maxStreams: 5_000,
  maxStreamsPerCaller: 5_000,
  maxWaits: 5_000,
  maxWaitsPerCaller: 5_000,
  maxLists: 64,
  maxListsPerCaller: 32,
  slowReaderMs: 20_000,
  streamHeartbeatMs: 15_000,
  maxHeaderBytes: 16_384,
  trustProxy: '',
  requireIdempotencyKey: false,
  requireIfMatch: false,
  rateLimit: { max: 0, windowMs: 60_000 },
  addressLimit: { max: 0, windowMs: 60_000 },
  overload: { maxEventLoopDelayMs: 0 },
  cors: { origins: '' },
  securityHeaders: true,
  hstsSeconds: 0,
  environment: 'test',
  version: '0.0.0-test',
};

/** What there is besides the process: nothing here has a server. */
const SITUATION: Situation = {
  log: {
    ...{ stream: 'jetledger', incarnation: 'memory', head: 0, commits: 0, bytes: 0 },
    copies: { wanted: 1, missing: [] },
  },
  servers: [{ name: 'memory', version: '0' }],
  instances: [],
};

/** What the service publishes as far as its document tells. */
export const TEST_PUBLISHED = {
  log: { prefix: 'jl' },
  publicEvents: { contexts: 'orders=forever, catalogue=forever, users=30d', format: 'json' },
} as const;

/** Of the settings, with no variables. */
const SOURCES = settingSources({ env: {}, dir: configDir({}) });

/** First part of the names of the engine's buckets. */
export const TEST_PREFIX = 'jl';

/** The timers of a store, as the stream of timers tells them. */
function timerListOf({ armed }: MemoryTimerStore): TimerList {
  const all = () => [...armed.values()].map(({ timer }) => ({ ...timer, state: 'armed' as const }));
  return {
    first: async (most) => ({ items: all().slice(0, most), total: armed.size }),
    of: async (id) => all().filter((timer) => timer.id === id),
  };
}

/** A clock that ticks one millisecond a look, counted ids, no real waiting. */
export function fixedRuntime(): Runtime {
  let ticks = 0;
  let ids = 0;
  return {
    now: () => TEST_EPOCH + ticks++,
    random: () => 0.5,
    id: () => `00000000-0000-7000-8000-${String(++ids).padStart(12, '0')}`,
    sleep: async () => undefined,
  };
}

/** Builds the service as production does, on parts in memory. */
export async function memoryService(options: MemoryServiceOptions = {}): Promise<MemoryService> {
  const { runtime = fixedRuntime(), personal = WITHOUT_KEYS } = options;
  const log = createMemoryLog();
  const handler = createHandler({ log, runtime, personal });
  const emailKey = createEmailKey(new Uint8Array(32).fill(7));
  const useCases = createUseCases({
    handler,
    log,
    runtime,
    emailKey,
    personal,
    settings: { staleClaimMs: 10_000, priceMaxAgeMs: 5_000, defaultPaymentToken: 'tok_success' },
  });
  const buckets = openMemoryBuckets(createMemoryBucketStores(), (store) => openMemoryBucket(store));
  // The views pace themselves by real time; a short pace keeps the tests short.
  const common = {
    log,
    buckets,
    runtime: systemRuntime,
    settings: { checkpointMs: 1, resolveMs: 50, stopMs: 1_000 },
  };
  const projections = startProjections({ ...common, projections: allViews });
  const views = createViewReader({
    ...common,
    views: allViews,
    local: projections.status,
    indexStore: createMemoryIndexes(),
  });
  const live = createLiveOrders({ log, runtime: systemRuntime });
  const parked = createDeadLetterPort({ buckets, prefix: TEST_PREFIX, runtime, hidden: hiddenFields });
  const timers = createMemoryTimerStore();
  const { waitsOf, ...waiting } = createWaiting({
    timers: timerListOf(timers),
    kinds,
    work: () => readOpenWork({ buckets, prefix: TEST_PREFIX }),
    ...{ log, handler, parked, runtime },
  });
  const deps: AppDeps = {
    handler,
    useCases,
    log,
    views,
    personal,
    modules: await apiModules(),
    publicEvents: documentOf(TEST_PUBLISHED),
    live,
    runtime,
    admin: {
      parked,
      consumers: createConsumersAdmin({ buckets, prefix: TEST_PREFIX, log, runtime, waiting: new Map() }),
      skips: createSkips({ log, buckets, prefix: TEST_PREFIX, runtime }),
      requests: createRequests({ buckets, answers: buckets, prefix: TEST_PREFIX, runtime }),
      views: {
        names: allViews.map(({ name }) => name),
        list: async () =>
          allViews.map(({ name: view }) => ({ view, state: 'sound', position: 0, lag: 0, parked: [] })),
      },
      situation: async () => SITUATION,
      log: createLogTail({ log, runtime: systemRuntime }),
      traces: options.traces,
      funnel: createFunnel({ log, views, runtime: { ...runtime, sleep: systemRuntime.sleep } }),
      aggregates: createAggregates({ log, views, parked, emailKey, waitsOf }),
      ...waiting,
      backups: createBackupsAdmin(buckets, TEST_PREFIX),
      configuration: createConfigurationAdmin({
        ...{ buckets, answers: buckets, prefix: TEST_PREFIX, runtime, sources: SOURCES },
      }),
      notifications: async () => ({ kept: 0, dead: 0, recent: [] }),
      webhooks: createWebhooksAdmin({
        ...{ views, buckets, prefix: TEST_PREFIX, runtime, sources: [] },
        attempts: { last: async () => undefined },
      }),
    },
    health: {
      ready: async () => ({ ok: true, checks: { log: { ok: true } } }),
      startup: async () => ({ ok: true, checks: { started: { ok: true } } }),
    },
    logger: options.logger ?? false,
    settings: TEST_SETTINGS,
    auth: 'off',
    console: { oidc: { issuer: '', clientId: '', scope: '' }, traceUrl: '' },
    publicTypes,
    refusalOfUrl: (url) => refusalOf(url, 'public'),
    webhookSecret: emailKey.webhookSecret,
    deliveryTries: { list: async () => [] },
    personalRecords: {
      notifications: async function* () {},
      attempts: async function* () {},
      emailIdOf: emailKey.idOf,
    },
    pseudonymOf: emailKey.pseudonymOf,
    fingerprints: { keyed: emailKey.keyedFingerprint, storeKeyed: true },
    ...options.override,
  };
  const app = buildApp(deps);
  await app.ready();
  const close = async () => {
    await app.close();
    live.stop();
    await views.stop();
    await projections.stop();
  };
  return { app, log, buckets, timers, deps, [Symbol.asyncDispose]: close };
}
