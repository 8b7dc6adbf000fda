import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp } from './api/app.ts';
import { listenQuietly } from './api/request-log.ts';
import { createUseCases } from './app/create-use-cases.ts';
import type { UseCaseSettings } from './app/steps.ts';
import { openAuthentication } from './cli/auth.ts';
import { buildAdmin } from './cli/consumers-admin.ts';
import { buildLive } from './cli/live.ts';
import { openMetering, startGauges } from './cli/metering.ts';
import { type Nats, openLog, openNats } from './cli/open.ts';
import { buildHandler, buildReadSide } from './cli/parts.ts';
import { startProcesses } from './cli/processes.ts';
import { createStallWatch, readiness } from './cli/readiness.ts';
import { meterTracing, openTracing } from './cli/tracing.ts';
import { systemRuntime } from './eventstore/runtime.ts';
import { packageRoot } from './platform/config/package-root.ts';
import type { Config } from './platform/config/schema.ts';
import { HttpPortTaken } from './platform/http-port.ts';
import { startNatsMonitor } from './platform/nats-monitor.ts';
import type { Tracing } from './platform/telemetry/tracing.ts';

/** A service that answers. */
export interface Service {
  /** For example `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Resolves with the reason when the service can never answer again: its embedded server has ended. */
  readonly lost: Promise<string>;
  /** Answers what is under way, writes what waits, and closes everything; may be called again. */
  stop(): Promise<void>;
}

/** What a service may be given from outside. */
export interface ServiceSurroundings {
  /** Tracing that is on already in this process; the service does not stop it. Otherwise it starts its own. */
  readonly tracing?: Tracing;
}

/**
 * Starts everything in one process: NATS when none is configured, command path, read models, HTTP.
 * @throws the one-line errors of configuration, NATS, log and port
 */
export async function startService(
  config: Config,
  logger: Logger,
  given: ServiceSurroundings = {},
): Promise<Service> {
  const auth = openAuthentication(config, logger);
  const nats = await openNats(config, 'own', logger);
  const closers: (() => Promise<unknown> | unknown)[] = [nats.close];
  const stop = async (): Promise<void> => {
    let failure: unknown;
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
      // What fails to close must not keep the rest open.
      await (async () => close())().catch((error: unknown) => {
        failure ??= error;
      });
    }
    if (failure !== undefined) throw failure;
  };
  try {
    const version = await packageVersion();
    const metering = await openMetering(config, version);
    if (metering !== undefined) closers.push(metering.stop);
    const own = given.tracing === undefined ? await openTracing(config, version, () => logger) : undefined;
    if (own !== undefined) closers.push(() => own.stop(config.tracing.exportTimeoutMs));
    const tracing = given.tracing ?? own;
    const tracer = tracing?.tracer;
    if (metering !== undefined && tracing !== undefined) meterTracing(metering.meter, tracing);
    const log = await openLog(config, nats, (problem) => logger.warn(problem), metering?.store);
    const handler = await buildHandler(config, nats, log, logger, metering, tracer);
    closers.push(handler.close);
    const { readSide, stop: stopReading } = buildReadSide(config, nats, log, logger, metering, tracer);
    closers.push(stopReading);
    const live = buildLive(config, log, logger);
    closers.push(live.stop);
    const useCases = createUseCases({
      handler,
      runtime: systemRuntime,
      emailKey: nats.emailKey,
      settings: useCaseSettings(config),
    });
    const processes = config.processes.enabled
      ? await startProcesses({ config, nats, log, handler, useCases, readSide, logger, metering, tracer })
      : undefined;
    if (processes !== undefined) closers.push(processes.stop);
    const monitor = startNatsMonitor({ urls: nats.monitorUrls, stream: config.log.stream });
    closers.push(monitor.stop);
    const consumers = () => processes?.status() ?? [];
    if (metering !== undefined) startGauges(metering, { config, nats, log, readSide, monitor, consumers });
    const stalls = createStallWatch(systemRuntime.now);
    const app = buildApp({
      handler,
      useCases,
      log,
      readModels: readSide,
      live,
      runtime: systemRuntime,
      admin: buildAdmin(config, nats, log, consumers, tracer),
      health: { ready: () => readiness(nats, log, readSide, stalls, consumers(), monitor.latest()) },
      settings: { ...config.http, environment: config.environment, version },
      auth,
      ...(metering && { metrics: metering }),
      tracer,
      devTraces: tracing?.devTraces,
      logger,
    });
    closers.push(() => app.close());
    const url = await listen(app, config);
    const server = nats.embedded === undefined ? '' : ` (embedded NATS at ${nats.embedded.url})`;
    logger.info(`JetLedger answers at ${url}, its documentation is at ${url}/docs${server}`);
    return { url, stop, lost: lossOf(nats) };
  } catch (error) {
    // The reason why it could not start says more than what came of stopping.
    await stop().catch(() => undefined);
    throw error;
  }
}

function useCaseSettings({ users, commands, processes, payment }: Config): UseCaseSettings {
  return {
    staleClaimMs: users.staleClaimMs,
    priceMaxAgeMs: commands.priceMaxAgeMs,
    paymentDeadlineMs: processes.paymentDeadlineMs,
    defaultPaymentToken: payment.adapter === 'simulated' ? 'tok_success' : undefined,
  };
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

async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}
