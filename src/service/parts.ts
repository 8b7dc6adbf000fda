import type { Tracer } from '@opentelemetry/api';
import type { Logger } from 'pino';
import {
  combineObservers,
  createHandler,
  createNatsBuckets,
  createNatsSnapshotStore,
  ensureBucket,
  type Handler,
  type Log,
  logStore,
  managerOf,
  type StoreObserver,
  systemRuntime,
  traceStore,
} from '../eventstore/index.ts';
import { type Config, hasRole } from '../platform/config/schema.ts';
import {
  createMembers,
  createViewReader,
  defaultProjectionSettings,
  meterProjections,
  type ProjectionObserver,
  startProjections,
  traceProjections,
  type ViewReader,
} from '../projections/engine/index.ts';
import { type Metering, NAMESPACE } from './metering.ts';
import { feedOfViews, type Nats } from './open.ts';
import { views } from './shop.ts';

/** The command path of this process, with snapshots as configured. */
export async function buildHandler(
  config: Config,
  nats: Nats,
  log: Log,
  logger: Logger,
  metering?: Metering,
  tracer?: Tracer,
): Promise<Handler> {
  const { commands, snapshots, log: names } = config;
  const { requests } = nats;
  const bucket = `${names.prefix}_snapshots`;
  if (snapshots.enabled) {
    const jsm = await managerOf(requests);
    const maxBytes = snapshots.maxMegabytes * 1024 * 1024;
    await ensureBucket(jsm, bucket, { replicas: 1, storage: 'file', persist: 'async', maxBytes });
  }
  const store = createNatsSnapshotStore({ requests, bucket, timeoutMs: config.nats.requestTimeoutMs });
  return createHandler({
    log,
    runtime: systemRuntime,
    observer: combineObservers<StoreObserver>(
      tracer && traceStore({ tracer, prefix: names.prefix }),
      logStore(logger),
      metering?.store,
    ),
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

/** The read models of this process: what answers queries, and, where they run here, what keeps them. */
export function buildViews(
  config: Config,
  nats: Nats,
  log: Log,
  logger: Logger,
  metering?: Metering,
  tracer?: Tracer,
): { reader: ViewReader; stop(): Promise<void> } {
  const { projections, log: names } = config;
  const runtime = systemRuntime;
  const { requests } = nats;
  const timeoutMs = config.nats.requestTimeoutMs;
  const bucketsOf = (announceLosses: boolean) =>
    createNatsBuckets({ requests, runtime, replicas: names.replicas, timeoutMs, announceLosses });
  const settings = {
    prefix: names.prefix,
    rebuildHint: (view: string) => `Rebuild it: jetledger rebuild ${view}`,
    checkpointMs: projections.checkpointIntervalMs,
    maxInFlight: projections.maxInFlight,
    cacheRows: projections.rowCacheEntries,
    groups: projections.groups,
  };
  const feed = feedOfViews(log, projections);
  const memberSettings = { ...defaultProjectionSettings, ...settings };
  const onError = (view: string, err: unknown): void => logger.error({ view, err }, 'a view has stopped');
  const running = hasRole(config, 'projections')
    ? startProjections({
        log: feed.log,
        buckets: bucketsOf(true),
        projections: views,
        ...(projections.shared
          ? { sharing: createMembers({ buckets: bucketsOf(true), runtime, settings: memberSettings }) }
          : {}),
        runtime,
        settings: { ...settings, ...feed.settings },
        onError,
        observer: combineObservers<ProjectionObserver>(
          tracer && traceProjections({ tracer, prefix: names.prefix }),
          metering &&
            meterProjections(metering.meter, {
              namespace: NAMESPACE,
              views: views.map(({ name }) => name),
            }),
        ),
      })
    : undefined;
  const reader = createViewReader({
    log,
    views,
    buckets: bucketsOf(false),
    runtime,
    settings,
    ...(running === undefined ? {} : { local: running.status, requestCheckpoint: running.requestCheckpoint }),
  });
  return {
    reader,
    stop: async () => {
      reader.stop();
      await running?.stop();
    },
  };
}
