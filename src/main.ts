import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { listenQuietly } from './api/request-log.ts';
import { openCore } from './cli/core.ts';
import { buildFront } from './cli/front.ts';
import type { Nats } from './cli/open.ts';
import { startRoles } from './cli/roles.ts';
import { hasRole, rolesOf } from './platform/config/roles.ts';
import type { Config } from './platform/config/schema.ts';
import { HttpPortTaken } from './platform/http-port.ts';
import { createLifecycle } from './platform/lifecycle.ts';
import type { Tracing } from './platform/telemetry/tracing.ts';

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
export interface ServiceSurroundings {
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
  given: ServiceSurroundings = {},
): Promise<Service> {
  const { drainMs, shutdownTimeoutMs: deadlineMs } = config.service;
  const lifecycle = createLifecycle({ logger, deadlineMs });
  try {
    const core = await openCore(config, logger, lifecycle, given.tracing);
    const parts = await startRoles(core, lifecycle);
    const app = buildFront(core, parts, lifecycle);
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
