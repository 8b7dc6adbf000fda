import type { Logger } from 'pino';
import type { Authentication } from '../api/auth/authenticator.ts';
import type { Log } from '../eventstore/log.ts';
import { hasRole } from '../platform/config/roles.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Lifecycle } from '../platform/lifecycle.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import { openAuthentication } from './auth.ts';
import { type Metering, openMetering } from './metering.ts';
import { type Nats, openLog, openNats } from './open.ts';
import { meterTracing, openTracing } from './tracing.ts';
import { toolVersion } from './version.ts';

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
