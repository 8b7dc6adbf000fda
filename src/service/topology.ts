import { bucketStream, forgottenBucket, keyBucket } from '../eventstore/index.ts';
import { commandBuckets, viewBuckets } from '../ledger/index.ts';
import type { Config } from '../platform/config/schema.ts';
import type { PlannedBucket, PlannedStream } from '../platform/topology.ts';
import { attemptsStreamConfig, attemptsStreamProblems } from '../processes/delivery/adapters/attempts.ts';
import { deliveryBucket } from '../processes/delivery/worker.ts';
import { timersStreamConfig, timersStreamProblems } from '../processes/engine/index.ts';
import {
  notificationStreamConfig,
  notificationStreamProblems,
} from '../processes/notification/adapters/outbox.ts';
import { publicBuckets, publicStreams } from './public-events.ts';
import { views } from './shop.ts';

/** The streams beside the log: timers, notifications and tries of webhooks with their short retention, and what is public. */
export function streamsOf(config: Config): readonly PlannedStream[] {
  const { log, notifications, webhooks } = config;
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
    {
      config: attemptsStreamConfig({ prefix, replicas, keepMs: webhooks.keepMs }),
      problems: (existing) => attemptsStreamProblems(existing, { prefix, keepMs: webhooks.keepMs }),
      disposable: true,
    },
    ...publicStreams(config),
  ];
}

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
  const kind = { replicas, persist: 'sync', storage: 'file' } as const;
  const ledger = { name: `${prefix}_payments`, what: 'the simulated ledger; kept for ever', kind };
  return [
    ...commandBuckets({ ...config, personal: config.privacy.encrypt !== 'off' }),
    ...(config.payment.adapter === 'simulated' ? [ledger] : []),
    { name: deliveryBucket(prefix), what: 'how far webhooks and notifications are; kept for ever', kind },
    ...publicBuckets(config),
  ];
}

/** What the views need from their start, and the buckets of those that exist; new ones are made with their views. */
export function plannedViews(config: Config, existing: readonly string[]): readonly PlannedBucket[] {
  const { prefix, replicas } = config.log;
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
  return [...viewBuckets(config), ...made];
}

/** The stream of the bucket that holds the keys of persons. */
export function keysStream({ prefix }: Pick<StreamNames, 'prefix'>): string {
  return bucketStream(keyBucket(prefix));
}

/** The stream of the ledger that says who was forgotten. */
export function ledgerStream({ prefix }: Pick<StreamNames, 'prefix'>): string {
  return bucketStream(forgottenBucket(prefix));
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
