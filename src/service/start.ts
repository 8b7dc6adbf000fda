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
import type { UseCaseSettings, UseCases } from '../app/use-cases.ts';
import { type Handler, type Log, systemRuntime } from '../eventstore/index.ts';
import { type Config, hasRole, rolesOf } from '../platform/config/schema.ts';
import { createLifecycle, type Lifecycle } from '../platform/lifecycle.ts';
import { type NatsMonitor, startNatsMonitor } from '../platform/nats-monitor.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import { createTokenVerifier } from '../platform/tokens.ts';
import type { ConsumerStatus } from '../processes/engine/index.ts';
import type { ViewReader } from '../projections/engine/index.ts';
import { createLiveOrders, type RunningLiveOrders } from '../projections/views/live-orders.ts';
import { buildAdmin } from './consumers-admin.ts';
import { HttpPortTaken } from './errors.ts';
import { type Metering, openMetering, startGauges } from './metering.ts';
import { type Nats, openLog, openNats } from './open.ts';
import { buildHandler, buildViews } from './parts.ts';
import { createHealth } from './readiness.ts';
import { apiModules } from './shop.ts';
import { meterTracing, openTracing } from './tracing.ts';
import { toolVersion } from './version.ts';

const OFF =
  'AUTHENTICATION IS OFF: everybody who reaches this port may do everything. Production refuses to start like this; ' +
  'docs/security.md says how to switch it on.';

/**
 * Who verifies the tokens of this process; the rules of the configuration keep production from having nobody.
 * @throws KeyFileUnusable
 */
export function openAuthentication({ auth }: Config, logger: Logger): Authentication {
  if (auth.enabled) return createTokenVerifier(auth);
  logger.warn(OFF);
  return 'off';
}

/** The live streams of this process; they read nothing before the first client comes. */
export function buildLive({ http }: Config, log: Log, logger: Logger): RunningLiveOrders {
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

/** What every process of the service has, whatever its roles are. */
export interface Core {
  readonly config: Config;
  readonly logger: Logger;
  readonly version: string;
  /** Who verifies tokens; nobody without the role api. */
  readonly auth: Authentication;
  readonly nats: Nats;
  readonly log: Log;
  readonly metering: Metering | undefined;
  readonly tracing: Tracing | undefined;
}

/**
 * Connects to NATS, starts telemetry and opens the log.
 * @param given tracing that is on already in this process, and is not stopped with it
 * @throws the one-line errors of the keys of tokens, NATS and log
 */
export async function openCore(
  config: Config,
  logger: Logger,
  lifecycle: Lifecycle,
  given: Tracing | undefined,
): Promise<Core> {
  const version = toolVersion();
  const auth = hasRole(config, 'api') ? openAuthentication(config, logger) : 'off';
  const nats = await openNats(config, 'own', logger);
  lifecycle.started('NATS', nats.close, () => (nats.requests.connected() ? '' : 'not connected'));
  const metering = await openMetering(config, version);
  if (metering !== undefined) lifecycle.started('metrics', metering.stop);
  const own = given === undefined ? await openTracing(config, version, () => logger) : undefined;
  if (own !== undefined) lifecycle.started('traces', () => own.stop(config.tracing.exportTimeoutMs));
  const tracing = given ?? own;
  if (metering !== undefined && tracing !== undefined) meterTracing(metering.meter, tracing);
  const log = await openLog(config, nats, (problem) => logger.warn(problem), metering?.store);
  return { config, logger, version, auth, nats, log, metering, tracing };
}

/** What this process does besides answering over HTTP. */
export interface Parts {
  /** Queries, from views that are kept here or elsewhere. */
  readonly views: ViewReader;
  /** The way to change aggregates; only where a role changes some. */
  readonly commands: Commands | undefined;
  /** The consumers of this process; none without the role. */
  readonly consumers: () => readonly ConsumerStatus[];
  readonly monitor: NatsMonitor;
}

/** The command path of a process. */
export interface Commands {
  readonly handler: Handler;
  readonly useCases: UseCases;
}

/** Starts what the roles of this process need, and nothing else. */
export async function startRoles(core: Core, lifecycle: Lifecycle): Promise<Parts> {
  const { config, nats, log, logger, metering } = core;
  const tracer = core.tracing?.tracer;
  const changes = hasRole(config, 'api') || hasRole(config, 'processes');
  const commands = changes ? await openCommands(core, lifecycle) : undefined;
  const { reader: views, stop } = buildViews(config, nats, log, logger, metering, tracer);
  const kept = failingIfAway(nats, 'their last rows and checkpoints were not written', stop);
  lifecycle.started('views', hasRole(config, 'projections') ? kept : stop);
  const consumers = await startConsumers(core, lifecycle, views, commands);
  const monitor = startNatsMonitor({ urls: nats.monitorUrls, stream: config.log.stream });
  lifecycle.started('NATS monitor', monitor.stop);
  if (metering !== undefined) startGauges(metering, { config, nats, log, views, monitor, consumers });
  return { views, commands, consumers, monitor };
}

async function openCommands(core: Core, lifecycle: Lifecycle): Promise<Commands> {
  const { config, nats, log, logger, metering, tracing } = core;
  const handler = await buildHandler(config, nats, log, logger, metering, tracing?.tracer);
  lifecycle.started(
    'snapshots',
    failingIfAway(nats, 'those that waited, if any, were not written', handler.close),
  );
  const { emailKey } = nats;
  const settings = useCaseSettings(config);
  return { handler, useCases: createUseCases({ handler, runtime: systemRuntime, emailKey, settings }) };
}

async function startConsumers(
  core: Core,
  lifecycle: Lifecycle,
  views: ViewReader,
  commands: Commands | undefined,
): Promise<() => readonly ConsumerStatus[]> {
  if (commands === undefined || !hasRole(core.config, 'processes')) return () => [];
  // Loaded only where somebody reacts to events.
  const { startProcesses } = await import('./processes.ts');
  const processes = await startProcesses({ ...core, ...commands, views, tracer: core.tracing?.tracer });
  const stop = failingIfAway(core.nats, 'their last places in the log were not written', processes.stop);
  lifecycle.started('processes', stop, () => underWay(processes.status()));
  return processes.status;
}

/** Closes what writes to NATS at its end, and fails when NATS is away then, so that it is told what is missing. */
function failingIfAway({ requests }: Core['nats'], missing: string, close: () => Promise<unknown>) {
  return async (): Promise<void> => {
    await close();
    if (!requests.connected()) throw new Error(`NATS is away: ${missing}; the next start makes up for it`);
  };
}

function underWay(consumers: readonly ConsumerStatus[]): string {
  const busy = consumers.filter(({ running }) => running > 0);
  return busy.map(({ consumer, running }) => `${consumer}: ${running} under way`).join(', ');
}

function useCaseSettings({ users, commands, processes, payment }: Config): UseCaseSettings {
  return {
    staleClaimMs: users.staleClaimMs,
    priceMaxAgeMs: commands.priceMaxAgeMs,
    paymentDeadlineMs: processes.paymentDeadlineMs,
    defaultPaymentToken: payment.adapter === 'simulated' ? 'tok_success' : undefined,
  };
}

/** What this process answers over HTTP, not yet listening: the whole API, or how it stands where it has no API. */
export async function buildFront(core: Core, parts: Parts, lifecycle: Lifecycle): Promise<FastifyInstance> {
  const { config, metering, logger, version } = core;
  const { stopping } = lifecycle;
  const common = {
    health: createHealth(core, parts, stopping),
    settings: { ...config.http, environment: config.environment, version },
    runtime: systemRuntime,
    stopping,
    logger,
    ...(metering && { metrics: metering }),
  };
  const app = hasRole(config, 'api')
    ? buildApp({ ...common, modules: await apiModules(), ...apiParts(core, parts, lifecycle) })
    : buildHealthApp({ ...common, roles: rolesOf(config.service.roles) });
  lifecycle.started(
    'requests',
    () => app.close(),
    () => `${openConnections(app)} connections`,
  );
  return app;
}

type ApiParts = Omit<
  AppDeps,
  'modules' | 'health' | 'settings' | 'runtime' | 'stopping' | 'logger' | 'metrics'
>;

function apiParts(core: Core, { views, commands, consumers }: Parts, lifecycle: Lifecycle): ApiParts {
  const { config, nats, log, logger, auth, tracing } = core;
  if (commands === undefined) throw new Error('The role api needs the command path.');
  const live = buildLive(config, log, logger);
  lifecycle.started('live streams', live.stop);
  return {
    ...commands,
    log,
    views,
    live,
    admin: buildAdmin(config, nats, log, consumers, tracing?.tracer),
    auth,
    pseudonymOf: nats.emailKey.pseudonymOf,
    tracer: tracing?.tracer,
    devTraces: tracing?.devTraces,
  };
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
  const { drainMs, shutdownTimeoutMs: deadlineMs } = config.service;
  const lifecycle = createLifecycle({ logger, deadlineMs });
  try {
    const core = await openCore(config, logger, lifecycle, given.tracing);
    const parts = await startRoles(core, lifecycle);
    const app = await buildFront(core, parts, lifecycle);
    const url = await listen(app, config);
    // Load balancers ask at intervals: until they have asked again they go on sending requests, and these are answered.
    if (drainMs > 0 && hasRole(config, 'api')) lifecycle.started('load balancers', () => delay(drainMs));
    logger.info(welcome(url, config, core.nats));
    return { url, left: lifecycle.left, stop: lifecycle.stop, lost: lossOf(core.nats) };
  } catch (error) {
    // The reason why it could not start says more than what came of stopping.
    await lifecycle.stop().catch(() => undefined);
    throw error;
  }
}

function welcome(url: string, config: Config, { embedded }: Nats): string {
  const server = embedded === undefined ? '' : ` (embedded NATS at ${embedded.url})`;
  const traces = config.tracing.devTraces > 0 ? `, the last traces are at ${url}/dev/traces` : '';
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
