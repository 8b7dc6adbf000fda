import type { Logger } from 'pino';
import type { Log } from '../eventstore/log.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Config } from '../platform/config/schema.ts';
import { createLiveOrders, type RunningLiveOrders } from '../projections/live-orders.ts';

/** The live streams of this process; they read nothing before the first client comes. */
export function buildLive({ http }: Config, log: Log, logger: Logger): RunningLiveOrders {
  return createLiveOrders({
    log,
    runtime: systemRuntime,
    settings: {
      replayCommits: http.streamReplayCommits,
      maxEvents: http.streamBufferEvents,
      maxBytes: http.streamBufferBytes,
    },
    onError: (err) => logger.error({ err }, 'an event cannot be read; the streams that it may belong to end'),
  });
}
