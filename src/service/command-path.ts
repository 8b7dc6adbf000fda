import {
  combineObservers,
  createHandler,
  createNatsSnapshotStore,
  ensureBucket,
  type Handler,
  logStore,
  managerOf,
  type StoreObserver,
  systemRuntime,
  traceStore,
} from '../eventstore/index.ts';

import type { Base } from './base.ts';
/** The command path of this process, with snapshots as configured. */
export async function buildHandler({ config, nats, log, logger, metering, tracing }: Base): Promise<Handler> {
  const { commands, snapshots, log: names } = config;
  const tracer = tracing?.tracer;
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
