import type { Config } from '../platform/config/schema.ts';
import type { PlannedBucket, PlannedStream } from '../platform/topology.ts';
import { bucketNames, timersStreamConfig, timersStreamProblems } from '../processes/engine/index.ts';

import {
  notificationStreamConfig,
  notificationStreamProblems,
} from '../processes/notification/adapters/outbox.ts';
import { views } from './shop.ts';

/** The streams beside the log: timers, and notifications with their short retention. */
export function streamsOf({ log, notifications }: Config): readonly PlannedStream[] {
  const { prefix, replicas } = log;
  const maxAgeMs = notifications.keepMs;
  return [
    {
      config: timersStreamConfig({ prefix, replicas }),
      problems: (existing) => timersStreamProblems(existing, { prefix }),
    },
    {
      config: notificationStreamConfig({ prefix, replicas, maxAgeMs }),
      problems: (existing) => notificationStreamProblems(existing, { prefix, maxAgeMs }),
    },
  ];
}

const MEGABYTE = 1_048_576;

/**
 * The buckets of the product as the configuration wants them; those of views only where they are beside the log and not
 * in another account.
 */
export function plannedBuckets(config: Config, existing: readonly string[]): readonly PlannedBucket[] {
  const { apiPrefix, viewsApiPrefix } = config.nats;
  const areHere = viewsApiPrefix === '' || viewsApiPrefix === apiPrefix;
  return [...serviceBuckets(config), ...(areHere ? plannedViews(config, existing) : [])];
}

function serviceBuckets(config: Config): readonly PlannedBucket[] {
  const { prefix, replicas } = config.log;
  const { shared, cursors, parked } = bucketNames(prefix);
  const durable = { replicas, persist: 'sync', storage: 'file' } as const;
  const fixed: PlannedBucket[] = [
    { name: shared, what: 'instances, leases and pauses; kept for ever', kind: durable },
    { name: cursors, what: 'places of the consumers; kept for ever', kind: durable },
    { name: parked, what: 'parked events; kept until they are handled or discarded', kind: durable },
  ];
  if (config.payment.adapter === 'simulated') {
    fixed.push({ name: `${prefix}_payments`, what: 'the simulated ledger; kept for ever', kind: durable });
  }
  if (config.snapshots.enabled) {
    const maxBytes = config.snapshots.maxMegabytes * MEGABYTE;
    const kind = { replicas: 1, persist: 'async', storage: 'file', maxBytes } as const;
    fixed.push({ name: `${prefix}_snapshots`, what: 'snapshots, a cache; the oldest go first', kind });
  }
  return fixed;
}

/** What the views need from their start, and the buckets of those that exist; new ones are made with their views. */
export function plannedViews(
  { log, projections }: Config,
  existing: readonly string[],
): readonly PlannedBucket[] {
  const { prefix, replicas } = log;
  const durable = { replicas, persist: 'sync', storage: 'file' } as const;
  const fixed: PlannedBucket[] = [
    { name: `${prefix}_views`, what: 'which bucket of a view is live; kept for ever', kind: durable },
  ];
  if (projections.shared) {
    fixed.push({ name: `${prefix}_members`, what: 'instances that share views', kind: durable });
  }
  const made = views.flatMap(({ name: view, crossesAggregates }) =>
    existing
      .filter((stream) => stream.startsWith(`KV_${prefix}_${view}_v`))
      .map((stream) => ({
        name: stream.slice('KV_'.length),
        what: `the view ${view}; folded from the log`,
        kind: { replicas, persist: crossesAggregates ? 'sync' : 'async', storage: 'file' } as const,
        renew: `make a new one: jetledger rebuild ${view}`,
      })),
  );
  return [...fixed, ...made];
}

/** Names of JetLedger's streams on a server. */
export interface StreamNames {
  readonly stream: string;
  readonly prefix: string;
}

/** Whether a stream belongs to JetLedger with these names. */
export function isOwnStream({ stream, prefix }: StreamNames, name: string): boolean {
  return name === stream || name.startsWith(`KV_${prefix}_`) || name.startsWith(`${prefix}-`);
}
