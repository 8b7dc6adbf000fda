import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp } from './api/app.ts';
import type { Readiness } from './api/deps.ts';
import { createUseCases } from './app/create-use-cases.ts';
import { type Nats, openLog, openNats } from './cli/open.ts';
import { createHandler } from './eventstore/handler.ts';
import type { Log } from './eventstore/log.ts';
import { ensureBucket } from './eventstore/nats/bucket-stream.ts';
import { createNatsBuckets } from './eventstore/nats/nats-buckets.ts';
import { createNatsSnapshotStore } from './eventstore/nats/snapshot-store.ts';
import { systemRuntime } from './eventstore/runtime.ts';
import { packageRoot } from './platform/config/package-root.ts';
import type { Config } from './platform/config/schema.ts';
import { HttpPortTaken } from './platform/http-port.ts';
import type { ReadModels, ViewStatus } from './projections/read-models.ts';
import { allProjections, createReadModels } from './projections/read-side.ts';
import { startProjections } from './projections/start.ts';

/** A service that answers. */
export interface Service {
  /** For example `http://127.0.0.1:3000`. */
  readonly url: string;
  /** Resolves with the reason when the service can never answer again: its embedded server has ended. */
  readonly lost: Promise<string>;
  /** Answers what is under way, writes what waits, and closes everything; may be called again. */
  stop(): Promise<void>;
}

/** A view this many commits behind still serves; further behind, readiness says no. */
const READY_LAG = 1_000;

/**
 * Starts everything in one process: NATS when none is configured, command path, read models, HTTP.
 * @throws the one-line errors of configuration, NATS, log and port
 */
export async function startService(config: Config, logger: Logger): Promise<Service> {
  const nats = await openNats(config, 'own', logger);
  const closers: (() => Promise<unknown> | unknown)[] = [nats.close];
  const stop = async (): Promise<void> => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
  };
  try {
    const log = await openLog(config, nats, (problem) => logger.warn(problem));
    const handler = await buildHandler(config, nats, log, logger);
    closers.push(handler.close);
    const readSide = buildReadSide(config, nats, log, logger);
    closers.push(readSide.stop);
    const { users, commands, http } = config;
    const { staleClaimMs } = users;
    const settings = { staleClaimMs, priceMaxAgeMs: commands.priceMaxAgeMs };
    const app = buildApp({
      handler,
      useCases: createUseCases({ handler, runtime: systemRuntime, emailKey: nats.emailKey, settings }),
      log,
      readModels: readSide.readModels,
      runtime: systemRuntime,
      health: { ready: () => readiness(nats, log, readSide.readModels) },
      settings: { ...http, environment: config.environment, version: await packageVersion() },
      logger,
    });
    closers.push(() => app.close());
    const url = await listen(app, config);
    const server = nats.embedded === undefined ? '' : ` (embedded NATS at ${nats.embedded.url})`;
    logger.info(`JetLedger answers at ${url}, its documentation is at ${url}/docs${server}`);
    return { url, stop, lost: lossOf(nats) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function buildHandler(config: Config, nats: Nats, log: Log, logger: Logger) {
  const { commands, snapshots, log: names } = config;
  const { connection, requests } = nats;
  const bucket = `${names.prefix}_snapshots`;
  if (snapshots.enabled) {
    const jsm = await jetstreamManager(connection);
    const maxBytes = snapshots.maxMegabytes * 1024 * 1024;
    await ensureBucket(jsm, bucket, { replicas: 1, storage: 'file', persist: 'async', maxBytes });
  }
  const store = createNatsSnapshotStore({ requests, bucket, timeoutMs: config.nats.requestTimeoutMs });
  return createHandler({
    log,
    runtime: systemRuntime,
    settings: commands,
    ...(snapshots.enabled
      ? {
          snapshots: {
            store,
            settings: snapshots,
            onWrong: (wrong) =>
              logger.error({ wrong }, 'a snapshot was not the fold of the log; it was replaced'),
          },
        }
      : {}),
  });
}

function buildReadSide(config: Config, nats: Nats, log: Log, logger: Logger) {
  const { projections, log: names } = config;
  const runtime = systemRuntime;
  const { requests } = nats;
  const timeoutMs = config.nats.requestTimeoutMs;
  const bucketsOf = (announceLosses: boolean) =>
    createNatsBuckets({ requests, runtime, replicas: names.replicas, timeoutMs, announceLosses });
  const settings = {
    prefix: names.prefix,
    checkpointMs: projections.checkpointIntervalMs,
    maxInFlight: projections.maxInFlight,
    cacheRows: projections.rowCacheEntries,
  };
  const onError = (view: string, err: unknown): void => logger.error({ view, err }, 'a view has stopped');
  const running = projections.enabled
    ? startProjections({
        log,
        buckets: bucketsOf(true),
        projections: allProjections,
        runtime,
        settings,
        onError,
      })
    : undefined;
  const readModels = createReadModels({
    log,
    buckets: bucketsOf(false),
    runtime,
    settings,
    ...(running === undefined ? {} : { local: running.status }),
  });
  return {
    readModels,
    stop: async () => {
      readModels.stop();
      await running?.stop();
    },
  };
}

/** Every reason at once; each check is bounded by the timeout of its own requests. */
async function readiness(nats: Nats, log: Log, readModels: ReadModels): Promise<Readiness> {
  const connected = nats.requests.connected();
  const logCheck = await log.head().then(
    (head) => ({ ok: true, detail: `position ${head}` }),
    (error: unknown) => ({ ok: false, detail: messageOf(error) }),
  );
  const views = await readModels.status().then(
    (statuses) => statuses.map((status) => [`view ${status.view}`, viewCheck(status)] as const),
    (error: unknown) => [['views', { ok: false, detail: messageOf(error) }] as const],
  );
  const checks = {
    nats: connected ? { ok: true } : { ok: false, detail: 'not connected; reconnecting' },
    log: logCheck,
    ...Object.fromEntries(views),
  };
  return { ok: Object.values(checks).every((check) => check.ok), checks };
}

function viewCheck({ running, lag, position, lastError }: ViewStatus): { ok: boolean; detail: string } {
  const detail = `position ${position}, ${lag} behind${lastError === undefined ? '' : `, ${lastError}`}`;
  return { ok: running && lag <= READY_LAG, detail };
}

async function listen(app: FastifyInstance, { http }: Config): Promise<string> {
  try {
    return await app.listen({ host: http.host, port: http.port });
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
