import { combineObservers, createNatsBuckets, systemRuntime } from '../eventstore/index.ts';
import { type Config, hasRole } from '../platform/config/schema.ts';
import {
  createMembers,
  createViewReader,
  defaultProjectionSettings,
  meterProjections,
  type ProjectionObserver,
  type ProjectionSettings,
  type Projections,
  startProjections,
  traceProjections,
  type ViewReader,
} from '../projections/engine/index.ts';
import type { Base } from './base.ts';
import { isSameLog } from './losses.ts';
import { NAMESPACE } from './metering.ts';
import { feedOfViews } from './open.ts';
import { views } from './shop.ts';
import { skipHint } from './skips.ts';
/** The read models of this process: what answers queries, and, where they run here, what keeps them. */
export function openViews(base: Base): { reader: ViewReader; stop(): Promise<void> } {
  const { config, log } = base;
  const settings = settingsOf(config);
  const running = hasRole(config, 'projections') ? keepViews(base, settings) : undefined;
  const reader = createViewReader({
    log,
    views,
    buckets: bucketsOf(base, false),
    runtime: systemRuntime,
    settings,
    ...(running && { local: running.status, requestCheckpoint: running.requestCheckpoint }),
  });
  return {
    reader,
    stop: async () => {
      reader.stop();
      await running?.stop();
    },
  };
}

function settingsOf({ projections, log }: Config): Partial<ProjectionSettings> {
  return {
    skipHint,
    prefix: log.prefix,
    rebuildHint: (view) => `Rebuild it: jetledger rebuild ${view}`,
    checkpointMs: projections.checkpointIntervalMs,
    maxInFlight: projections.maxInFlight,
    cacheRows: projections.rowCacheEntries,
    groups: projections.groups,
    sweepPerSecond: projections.sweepPerSecond,
  };
}

function bucketsOf({ config, nats }: Base, announceLosses: boolean) {
  const { replicas } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  return createNatsBuckets({
    requests: nats.viewRequests,
    runtime: systemRuntime,
    replicas,
    timeoutMs,
    announceLosses,
  });
}

function keepViews(base: Base, settings: Partial<ProjectionSettings>): Projections {
  const { config, log, logger, metering } = base;
  const tracer = base.tracing?.tracer;
  const runtime = systemRuntime;
  const buckets = bucketsOf(base, true);
  const feed = feedOfViews(log, config.projections);
  const memberSettings = { ...defaultProjectionSettings, ...settings };
  return startProjections({
    log: feed.log,
    buckets,
    projections: views,
    ...(config.projections.shared && {
      sharing: createMembers({ buckets, runtime, settings: memberSettings }),
    }),
    runtime,
    sameLog: () => isSameLog(base),
    settings: { ...settings, ...feed.settings },
    onError: (view, err) => logger.error({ view, err }, 'a view has stopped'),
    observer: combineObservers<ProjectionObserver>(
      { foreign: (met) => logger.warn(met, 'a message of somebody else lies in the log') },
      tracer && traceProjections({ tracer, prefix: config.log.prefix }),
      { rowHealed: (row) => logger.warn(row, 'a row that was lost was folded again from the log') },
      metering &&
        meterProjections(metering.meter, { namespace: NAMESPACE, views: views.map(({ name }) => name) }),
    ),
  });
}
