import type { ServiceDeps } from '../../api/deps.ts';
import {
  type Bucket,
  type CommandHandler,
  createNatsBuckets,
  type Log,
  systemRuntime,
} from '../../eventstore/index.ts';
import { feedOfViews } from '../../ledger/index.ts';
import { type Config, hasRole, rolesOf } from '../../platform/config/schema.ts';
import type { NatsMonitor } from '../../platform/nats-monitor.ts';
import { openAttempts } from '../../processes/delivery/adapters/attempts.ts';
import { bucketNames, type ConsumerStatus, createTimerList } from '../../processes/engine/index.ts';
import { type RebuildDeps, traceProjections, type ViewReader } from '../../projections/engine/index.ts';
import type { Base } from '../base.ts';
import { readOpenWork } from '../consumers-admin.ts';
import type { Nats } from '../open.ts';
import { publicSources } from '../public-events.ts';
import { timers, views } from '../shop.ts';
import { skipHint } from '../skips.ts';
import { toolVersion } from '../version.ts';
import { bucketsOf } from '../with-nats.ts';
import { createAggregates } from './aggregates.ts';
import { createBackupsAdmin } from './backups.ts';
import { createConfigurationAdmin, toldSettings } from './configuration.ts';
import { createFunnel } from './funnel.ts';
import { announceInstance } from './instances.ts';
import { createLogTail } from './log-tail.ts';
import { createNotificationsAdmin, createWebhooksAdmin } from './outgoing.ts';
import { startRebuildDesk } from './rebuilds.ts';
import { answersBucket, createRequests } from './requests.ts';
import { createSituation } from './situation.ts';
import { createViewsAdmin } from './views.ts';
import { createWaiting } from './waiting.ts';

type Admin = ServiceDeps['admin'];

/** What operators see and ask for, for a process that answers requests. */
export function buildOperators(
  { config, sources = new Map(), nats, log }: Base,
  handler: CommandHandler,
  views: ViewReader,
  monitor: NatsMonitor,
  parked: Admin['parked'],
): Omit<Admin, 'parked' | 'consumers' | 'skips'> {
  const buckets = bucketsOf(config, nats.requests);
  const answers = bucketsOf(config, nats.viewRequests);
  const { emailKey, requests } = nats;
  const { prefix } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const runtime = systemRuntime;
  const { waitsOf, ...waiting } = createWaiting({
    timers: createTimerList({ requests, prefix, timeoutMs }),
    kinds: timers,
    work: () => readOpenWork({ buckets, prefix }),
    ...{ log, handler, parked, runtime },
  });
  return {
    requests: createRequests({ buckets, answers, prefix, runtime }),
    log: createLogTail({ log, runtime }),
    funnel: createFunnel({ log, views, runtime }),
    views: createViewsAdmin(config, nats, log),
    situation: createSituation(config, nats, log, monitor),
    aggregates: createAggregates({ log, views, parked, emailKey, waitsOf }),
    ...waiting,
    notifications: createNotificationsAdmin({ requests, buckets, prefix, timeoutMs, parked }),
    backups: createBackupsAdmin(buckets, prefix),
    configuration: createConfigurationAdmin({ buckets, answers, prefix, runtime, sources }),
    webhooks: createWebhooksAdmin({
      sources: publicSources(config, requests),
      attempts: openAttempts(requests, prefix, timeoutMs),
      ...{ views, buckets, prefix, runtime },
    }),
  };
}

/** What a rebuild needs besides its view. @param observer of the views */
export function rebuildWork(
  config: Config,
  nats: Nats,
  log: Log,
  observer: RebuildDeps['observer'],
): Omit<RebuildDeps, 'projection'> {
  const { prefix, replicas } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const runtime = systemRuntime;
  const requests = nats.viewRequests;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: true });
  const feed = feedOfViews(log, config.projections);
  const settings = { prefix, skipHint, groups: config.projections.groups, ...feed.settings };
  return { log: feed.log, buckets, runtime, settings, observer };
}

/** Says that this process lives; where it keeps views, carries out what operators ask of them. */
export function startOperators(
  { config, sources = new Map(), nats, log, logger, tracing }: Base,
  consumers: () => readonly ConsumerStatus[],
): { stop(): Promise<void> } {
  const { prefix } = config.log;
  const self = {
    name: config.service.name,
    roles: rolesOf(config.service.roles),
    version: toolVersion(),
    node: process.versions.node,
  };
  // Who only keeps views may write nowhere else.
  const keepsViewsOnly = !hasRole(config, 'api') && !hasRole(config, 'processes');
  const open = (): Promise<Bucket> =>
    keepsViewsOnly
      ? bucketsOf(config, nats.viewRequests).create(answersBucket(prefix), { durable: true })
      : bucketsOf(config, nats.requests).create(bucketNames(prefix).shared, { durable: true });
  const settings = toldSettings(config, sources);
  const instance = announceInstance({ open, runtime: systemRuntime }, { ...self, settings }, consumers);
  const tracer = tracing?.tracer;
  const observer = tracer && traceProjections({ tracer, prefix });
  const work = hasRole(config, 'projections') ? rebuildWork(config, nats, log, observer) : undefined;
  const desk =
    work &&
    startRebuildDesk({
      requests: bucketsOf(config, nats.requests),
      answers: work.buckets,
      prefix,
      runtime: systemRuntime,
      logger,
      views,
      work,
    });
  return {
    stop: async () => {
      await Promise.all([desk?.stop(), instance.stop()]);
    },
  };
}
