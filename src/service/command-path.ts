import {
  combineObservers,
  type Handler,
  logStore,
  type StoreObserver,
  traceStore,
} from '../eventstore/index.ts';
import { openCommands } from '../ledger/index.ts';
import type { Base } from './base.ts';

/** The command path of this process, with snapshots as configured. */
export function buildHandler({ config, nats, log, logger, metering, tracing }: Base): Promise<Handler> {
  const { prefix } = config.log;
  const tracer = tracing?.tracer;
  return openCommands({
    log,
    requests: nats.requests,
    prefix,
    requestTimeoutMs: config.nats.requestTimeoutMs,
    commands: config.commands,
    snapshots: config.snapshots,
    onWrong: (wrong) => logger.error({ wrong }, 'a snapshot was not the fold of the log; it was replaced'),
    observer: combineObservers<StoreObserver>(
      tracer && traceStore({ tracer, prefix }),
      logStore(logger),
      metering?.store,
    ),
  });
}
