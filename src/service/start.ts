import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp } from '../api/app.ts';
import type { Authentication } from '../api/auth/identity.ts';
import type { AppDeps } from '../api/deps.ts';
import { buildHealthApp } from '../api/health-app.ts';
import { listenQuietly } from '../api/request-log.ts';
import { openConnections } from '../api/server.ts';
import { createUseCases } from '../app/create-use-cases.ts';
import type { UseCases } from '../app/use-cases.ts';
import { type Handler, type Log, systemRuntime } from '../eventstore/index.ts';
import type { SettingSource } from '../platform/config/load.ts';
import { type Config, hasRole, rolesOf } from '../platform/config/schema.ts';
import { createLifecycle, type Lifecycle } from '../platform/lifecycle.ts';
import { maskUrl } from '../platform/mask-url.ts';
import { type NatsMonitor, startNatsMonitor } from '../platform/nats-monitor.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import { createTokenVerifier } from '../platform/tokens.ts';
import { openAttempts } from '../processes/delivery/adapters/attempts.ts';
import { refusalOf } from '../processes/delivery/adapters/dial.ts';
import type { ConsumerStatus } from '../processes/engine/index.ts';
import { notificationsFor } from '../processes/notification/adapters/outbox.ts';
import type { ViewReader } from '../projections/engine/index.ts';
import { createLiveOrders, type RunningLiveOrders } from '../projections/views/live-orders.ts';
import type { Base } from './base.ts';
import { buildHandler, useCaseSettings } from './command-path.ts';
import { buildAdmin } from './consumers-admin.ts';
import { HttpPortTaken } from './errors.ts';
import { type LossWatch, refusingWhenLost, startLossWatch } from './losses.ts';
import { meteringOf, startGauges } from './metering.ts';
import { type Nats, openLogAndPersonal, openNats } from './open.ts';
import { buildOperators, startOperators } from './operators/build.ts';
import { startEraser } from './personal/erasing.ts';
import type { Processes } from './processes.ts';
import { documentOf, publicTypes } from './public-events.ts';
import { openReadModels } from './read-models.ts';
import { createHealth } from './readiness.ts';
import { apiModules } from './shop.ts';
import { meterTracing, openTelemetry } from './telemetry.ts';
import { toolVersion } from './version.ts';
import { bucketsOf } from './with-nats.ts';

const OFF =
  'AUTHENTICATION IS OFF: everybody who reaches this port may do everything. Production refuses to start like this; ' +
  'docs/security.md says how to switch it on.';

/**
 * Who verifies the tokens of this process; the rules of the configuration keep production from having nobody.
 * @throws KeyFileUnusable
 */
function openAuthentication({ auth }: Config, logger: Logger): Authentication {
  if (auth.enabled) return createTokenVerifier(auth);
  logger.warn(OFF);
  return 'off';
}

/** The live streams of this process; they read nothing before the first client comes. */
function openLiveStreams({ http }: Config, log: Log, logger: Logger): RunningLiveOrders {
  return createLiveOrders({
    log,
    runtime: systemRuntime,
    settings: {
      replayCommits: http.streamReplayCommits,
      maxEvents: http.streamBufferEvents,
      maxBytes: http.streamBufferBytes,
    },
    onError: (err) => logger.error({ err }, 'an event cannot be read; the streams that it may belong to end'),
  });
}

/** The command path of a process. */
interface Commands {
  readonly handler: Handler;
  readonly useCases: UseCases;
}

/** A service that answers. */
export interface Service {
  /** For example `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Resolves with the reason when the service can never answer again: its embedded server has ended. */
  readonly lost: Promise<string>;
  /** What is not closed yet. */
  left(): readonly string[];
  /**
   * Answers what is under way, writes what waits, and closes everything; may be called again.
   * @throws ShutdownIncomplete when something could not be closed within `service.shutdownTimeoutMs`
   */
  stop(): Promise<void>;
}

/** What a service may be given from outside. */
export interface ServiceOptions {
  /** Tracing that is on already in this process; the service does not stop it. Otherwise it starts its own. */
  readonly tracing?: Tracing;
  /** Where each setting comes from, for operators. */
  readonly sources?: ReadonlyMap<string, SettingSource>;
}

/**
 * Starts what the roles of this process need (`service.roles`), and NATS when none is configured.
 * @throws the one-line errors of configuration, NATS, log and port
 */
export async function startService(
  config: Config,
  logger: Logger,
  given: ServiceOptions = {},
): Promise<Service> {
  const { shutdownTimeoutMs: deadlineMs } = config.service;
  const lifecycle = createLifecycle({ logger, deadlineMs });
  try {
    return await startInOrder(config, logger, lifecycle, given);
  } catch (error) {
    // The reason why it could not start says more than what came of stopping.
    await lifecycle.stop().catch(() => undefined);
    throw error;
  }
}

/** The whole start. Stopping goes the other way, stage by stage: docs/operations.md, "Shutdown". */
async function startInOrder(
  config: Config,
  logger: Logger,
  lifecycle: Lifecycle,
  given: ServiceOptions,
): Promise<Service> {
  const { started, stopping } = lifecycle;
  const answers = hasRole(config, 'api');
  const auth = answers ? openAuthentication(config, logger) : 'off';

  const nats = await openNats(config, 'own', logger);
  started('NATS', nats.close, () => (nats.requests.connected() ? '' : 'not connected'));

  const { metering, tracing } = await startTelemetry(config, logger, lifecycle, given);
  const opened = await openLogAndPersonal(config, nats, (problem) => logger.warn(problem), metering?.store);
  const made = { config, sources: given.sources, logger, nats, ...opened, metering, tracing };
  const { losses, base } = watchLosses(made, lifecycle);

  const commands = answers || hasRole(config, 'processes') ? await openCommands(base, lifecycle) : undefined;

  const views = startViews(base, losses, lifecycle);

  const processes = await openProcesses(base, views, commands);
  if (processes !== undefined) {
    const stop = closing(nats, 'their last places in the log were not written', processes.stop);
    started('processes', stop, () => underWay(processes.status()));
  }
  const consumers = processes?.status ?? (() => []);
  const monitor = startLookout(base, lifecycle, consumers);
  if (metering !== undefined) startGauges(metering, { ...base, views, monitor, consumers });

  const live = answers ? openLiveStreams(config, base.log, logger) : undefined;
  if (live !== undefined) started('live streams', live.stop);
  const health = createHealth(base, { views, consumers, monitor, losses }, stopping);
  const app = await buildHttp(base, { auth, commands, views, monitor, consumers, live, health, stopping });
  started(
    'requests',
    () => app.close(),
    () => `${openConnections(app)} connections`,
  );
  const url = await listen(app, config);

  // Load balancers ask at intervals: until they have asked again they go on sending requests, and these are answered.
  const { drainMs } = config.service;
  if (drainMs > 0 && answers) started('load balancers', () => delay(drainMs));
  logger.info(welcome(url, config, nats));
  return { url, left: lifecycle.left, stop: lifecycle.stop, lost: lossOf(nats) };
}

async function startTelemetry(
  config: Config,
  logger: Logger,
  { started }: Lifecycle,
  given: ServiceOptions,
): Promise<Pick<Base, 'metering' | 'tracing'>> {
  const { tracing: own } = config;
  const traced = given.tracing === undefined ? own : { ...own, enabled: false, devTraces: 0 };
  const telemetry = await openTelemetry({ ...config, tracing: traced }, () => logger);
  const tracing = given.tracing ?? telemetry?.tracing;
  const metering = telemetry?.metrics && meteringOf(telemetry.metrics, config);
  if (telemetry !== undefined)
    started('telemetry', async () => {
      metering?.stop();
      await telemetry.stop(own.exportTimeoutMs);
    });
  if (metering !== undefined && tracing !== undefined) meterTracing(metering.meter, tracing);
  return { metering, tracing };
}

/** What is built on a log that takes nothing more once it is lost, and who looks for that. */
function watchLosses(opened: Base, { started }: Lifecycle): { losses: LossWatch; base: Base } {
  const losses = startLossWatch(opened);
  started('loss watch', losses.stop);
  return { losses, base: { ...opened, log: refusingWhenLost(opened.log, losses.latest) } };
}

/** Destroys the keys of who was forgotten, where this process may. */
function startErasing(base: Base, handler: Handler, { started }: Lifecycle): void {
  const { config, nats, forgetting, logger } = base;
  if (forgetting === undefined) return;
  const eraser = startEraser({
    buckets: bucketsOf(config, nats.requests),
    prefix: config.log.prefix,
    runtime: systemRuntime,
    handler,
    forgetting,
    onTrouble: (what, err) => logger.warn({ err }, what),
  });
  started('forgetting', eraser.stop);
}

/** What answers queries; what is kept here of the views says itself whether something of them is lost. */
function startViews(base: Base, losses: LossWatch, { started }: Lifecycle): ViewReader {
  const { reader, kept, stop } = openReadModels(base);
  if (kept === undefined) started('views', stop);
  else {
    losses.follow(kept);
    started('views', closing(base.nats, 'their last rows and checkpoints were not written', stop));
  }
  return reader;
}

/** What tells operators of the servers, and them of this process. */
function startLookout(
  base: Base,
  { started }: Lifecycle,
  consumers: () => readonly ConsumerStatus[],
): NatsMonitor {
  const { config, nats } = base;
  started('operators', startOperators(base, consumers).stop);
  const monitor = startNatsMonitor({ urls: nats.monitorUrls, stream: config.log.stream });
  started('NATS monitor', monitor.stop);
  return monitor;
}

async function openCommands(base: Base, lifecycle: Lifecycle): Promise<Commands> {
  const { config, nats, log, personal } = base;
  const handler = await buildHandler(base);
  const written = closing(nats, 'those that waited, if any, were not written', handler.close);
  lifecycle.started('snapshots', written);
  startErasing(base, handler, lifecycle);
  const { emailKey } = nats;
  const settings = useCaseSettings(config);
  return {
    handler,
    useCases: createUseCases({ handler, log, runtime: systemRuntime, emailKey, personal, settings }),
  };
}

async function openProcesses(
  base: Base,
  views: ViewReader,
  commands: Commands | undefined,
): Promise<Processes | undefined> {
  if (commands === undefined || !hasRole(base.config, 'processes')) return undefined;
  // Loaded only where somebody reacts to events.
  const { startProcesses } = await import('./processes.ts');
  return startProcesses({ ...base, ...commands, views, tracer: base.tracing?.tracer });
}

/** Closes what writes to NATS at its end, and fails when NATS is away then, so that it is told what is missing. */
function closing({ requests }: Nats, missing: string, close: () => Promise<unknown>) {
  return async (): Promise<void> => {
    await close();
    if (!requests.connected()) throw new Error(`NATS is away: ${missing}; the next start makes up for it`);
  };
}

function underWay(consumers: readonly ConsumerStatus[]): string {
  const busy = consumers.filter(({ running }) => running > 0);
  return busy.map(({ consumer, running }) => `${consumer}: ${running} under way`).join(', ');
}

/** What a process answers from. */
interface Answering {
  readonly auth: Authentication;
  readonly commands: Commands | undefined;
  readonly views: ViewReader;
  readonly monitor: NatsMonitor;
  readonly consumers: () => readonly ConsumerStatus[];
  readonly live: RunningLiveOrders | undefined;
  readonly health: AppDeps['health'];
  readonly stopping: () => boolean;
}

/** What this process answers over HTTP, not yet listening: the whole API, or how it stands where it has no API. */
async function buildHttp(base: Base, answering: Answering): Promise<FastifyInstance> {
  const { config, nats, log, personal, logger, metering, tracing } = base;
  const { auth, commands, views, monitor, consumers, live, health, stopping } = answering;
  const common = {
    health,
    settings: { ...config.http, environment: config.environment, version: toolVersion() },
    runtime: systemRuntime,
    stopping,
    logger,
    ...(metering && { metrics: metering }),
  };
  if (commands === undefined || live === undefined)
    return buildHealthApp({ ...common, roles: rolesOf(config.service.roles) });
  const admin = buildAdmin(config, nats, log, consumers, tracing?.tracer);
  const operators = buildOperators(base, commands.handler, views, monitor, admin.parked);
  return buildApp({
    ...common,
    ...commands,
    modules: await apiModules(),
    log,
    ...{ publicEvents: documentOf(config), publicTypes },
    refusalOfUrl: (url) => refusalOf(url, config.webhooks.targets),
    personal,
    views,
    live,
    admin: { ...admin, ...operators, traces: tracing?.kept },
    auth,
    console: config.console,
    webhookSecret: nats.emailKey.webhookSecret,
    ...recordsOf(base),
    pseudonymOf: nats.emailKey.pseudonymOf,
    fingerprints: {
      keyed: nats.emailKey.keyedFingerprint,
      storeKeyed: config.users.keyedFingerprints || personal.encrypt,
    },
    tracer: tracing?.tracer,
  });
}

/** What is kept beside the log, the views and dead letters. */
function recordsOf({ config, nats }: Base): Pick<AppDeps, 'deliveryTries' | 'personalRecords'> {
  const { requests, emailKey } = nats;
  const { prefix } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const tries = openAttempts(requests, prefix, timeoutMs);
  return {
    deliveryTries: tries,
    personalRecords: {
      notifications: (userId) => notificationsFor({ requests, prefix, timeoutMs }, userId),
      attempts: tries.all,
      emailIdOf: emailKey.idOf,
    },
  };
}

function welcome(url: string, config: Config, { embedded }: Nats): string {
  const server = embedded === undefined ? '' : ` (embedded NATS at ${maskUrl(embedded.url)})`;
  const traces = config.tracing.devTraces > 0 ? `, the last traces are at ${url}/console/traces` : '';
  const documentation = `its documentation is at ${url}/docs${traces}`;
  const roles = `about health and metrics only (roles: ${rolesOf(config.service.roles).join(', ')})`;
  return `JetLedger answers at ${url}, ${hasRole(config, 'api') ? documentation : roles}${server}`;
}

async function listen(app: FastifyInstance, { http }: Config): Promise<string> {
  try {
    return await listenQuietly(app, { host: http.host, port: http.port });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')
      throw new HttpPortTaken(http.port);
    throw error;
  }
}

async function lossOf({ embedded }: Nats): Promise<string> {
  if (embedded === undefined) return new Promise(() => undefined);
  const exit = await embedded.exited;
  return `the embedded NATS server has ended (${JSON.stringify(exit)}); restart the service`;
}
