import type { UseCaseSettings } from '../app/use-cases.ts';
import {
  combineObservers,
  type Handler,
  logStore,
  meterRemake,
  type RemakeObserver,
  reasonOf,
  type StoreObserver,
  traceStore,
} from '../eventstore/index.ts';
import { openCommands } from '../ledger/index.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Base } from './base.ts';
import { NAMESPACE } from './metering.ts';
import { aggregates } from './shop.ts';

/** The command path of this process, with snapshots as configured; after a release they are made anew beside it. */
export function buildHandler(base: Base): Promise<Handler> {
  const { config, nats, log, personal, logger, metering, tracing } = base;
  const { prefix } = config.log;
  const tracer = tracing?.tracer;
  return openCommands({
    log,
    personal,
    requests: nats.requests,
    prefix,
    requestTimeoutMs: config.nats.requestTimeoutMs,
    commands: config.commands,
    snapshots: config.snapshots,
    remake: {
      deciders: aggregates,
      perSecond: config.snapshots.remakePerSecond,
      observer: combineObservers<RemakeObserver>(
        tellRemake(logger),
        metering && meterRemake(metering.meter, NAMESPACE),
      ),
    },
    onWrong: (wrong) => logger.error({ wrong }, 'a snapshot was not the fold of the log; it was replaced'),
    onUnbounded: (err) => logger.warn({ err }, 'snapshots.maxMegabytes cannot be kept: the bucket grows'),
    observer: combineObservers<StoreObserver>(
      tracer && traceStore({ tracer, prefix }),
      logStore(logger),
      metering?.store,
    ),
  });
}

/** A line at each stage. What fails is tried again and costs time only, so the same is not told twice in a row. */
function tellRemake(logger: Base['logger']): RemakeObserver {
  let told = '';
  return {
    // Every start looks; only a release that folds differently finds something.
    owns: ({ remade }) =>
      logger.debug({ remade }, 'this process looks for snapshots of former folds and makes them anew'),
    ended: ({ remade, former }) => {
      if (former.length > 0)
        logger.info({ remade, former }, 'all snapshots are of the folds of this release');
    },
    dropped: (folds) => logger.info({ folds }, 'snapshots of former folds were dropped'),
    failed: (error) => {
      const reason = reasonOf(error);
      if (reason !== told) logger.warn({ reason }, 'making snapshots anew waits for a while');
      told = reason;
    },
  };
}

/** What the use cases go by. */
export function useCaseSettings({ users, privacy, commands, processes, payment }: Config): UseCaseSettings {
  return {
    staleClaimMs: users.staleClaimMs,
    graceMs: privacy.graceMs,
    priceMaxAgeMs: commands.priceMaxAgeMs,
    paymentDeadlineMs: processes.paymentDeadlineMs,
    defaultPaymentToken: payment.adapter === 'simulated' ? 'tok_success' : undefined,
  };
}
