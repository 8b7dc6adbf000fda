import { combineObservers } from '../eventstore/index.ts';
import { isSameLog, type KeepViews, type OpenedViews, openViews } from '../ledger/index.ts';
import { type Config, hasRole } from '../platform/config/schema.ts';
import {
  meterProjections,
  type ProjectionObserver,
  type RowPrivacy,
  traceProjections,
} from '../projections/engine/index.ts';
import type { Base } from './base.ts';
import { NAMESPACE } from './metering.ts';
import { indexes, views } from './shop.ts';
import { skipHint } from './skips.ts';

/** The read models of this process: what answers queries, and, where they run here, what keeps them. */
export function openReadModels(base: Base): OpenedViews {
  const { config, log, nats } = base;
  return openViews({
    log,
    requests: nats.viewRequests,
    views,
    settings: settingsOf(config),
    replicas: config.log.replicas,
    requestTimeoutMs: config.nats.requestTimeoutMs,
    indexes: {
      dir: config.lists.dir,
      fromStart: hasRole(config, 'api') ? indexes : [],
      observer: reporting(base),
    },
    privacy: privacyOf(base),
    keep: hasRole(config, 'projections') ? keeping(base) : undefined,
    // Each order asks for its customer as of its own position.
    follow: hasRole(config, 'processes'),
  });
}

/** Files of lists hold digests of names under the key of addresses; under another key they are of no use. */
function privacyOf({ personal, nats: { emailKey } }: Base): RowPrivacy {
  return {
    open: (rows) => Promise.all(rows.map(personal.openJson)),
    openListed: (rows) => Promise.all(rows.map(personal.openListed)),
    digest: emailKey.digestOf,
    stamp: async () => emailKey.check,
  };
}

function reporting({ logger }: Base): ProjectionObserver {
  return {
    indexed: (index) => logger.info(index, 'the lists of a view are built'),
    indexFailed: ({ view, error: err }) => logger.warn({ view, err }, 'the lists of a view cannot be kept'),
  };
}

const MEGABYTE = 1_048_576;

function settingsOf({ projections, log }: Config) {
  return {
    skipHint,
    prefix: log.prefix,
    rebuildHint: (view: string) => `Rebuild it: jetledger rebuild ${view}`,
    checkpointMs: projections.checkpointIntervalMs,
    maxInFlight: projections.maxInFlight,
    cacheRows: projections.rowCacheEntries,
    cacheBytes: Math.ceil((projections.rowCacheMegabytes * MEGABYTE) / views.length),
    groups: projections.groups,
    sweepPerSecond: projections.sweepPerSecond,
  };
}

function keeping({ config, nats, log, logger, metering, tracing }: Base): KeepViews {
  const tracer = tracing?.tracer;
  const names = views.map(({ name }) => name);
  return {
    shared: config.projections.shared,
    coalesceRows: config.projections.coalesceRows,
    sameLog: () => isSameLog(nats, config.log.stream, log, config.nats.requestTimeoutMs),
    onError: (view, err) => logger.error({ view, err }, 'a view has stopped'),
    observer: combineObservers<ProjectionObserver>(
      { foreign: (met) => logger.warn(met, 'a message of somebody else lies in the log') },
      tracer && traceProjections({ tracer, prefix: config.log.prefix }),
      { rowHealed: (row) => logger.warn(row, 'a row that was lost was folded again from the log') },
      metering && meterProjections(metering.meter, { namespace: NAMESPACE, views: names }),
    ),
  };
}
