import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import {
  BEGINNING,
  distance,
  isAfter,
  isStreamMissing,
  type Log,
  managerOf,
  numberOf,
  type Release,
  type Requests,
  readReleases,
} from '../eventstore/index.ts';
import { RESTORED_FROM_KEY } from '../platform/backup/put-back.ts';
import type { Config } from '../platform/config/schema.ts';
import { readPlace } from '../processes/delivery/worker.ts';
import { timersStream } from '../processes/engine/index.ts';
import { notificationStream } from '../processes/notification/adapters/outbox.ts';
import { NOTIFICATIONS } from '../processes/notification/adapters/receiver.ts';
import {
  createAliases,
  defaultProjectionSettings,
  differInSkips,
  groupCountOf,
  readLowest,
  versionOf,
} from '../projections/engine/index.ts';
import type { Nats } from './open.ts';
import { queueOf } from './operators/outgoing.ts';
import { views } from './shop.ts';
import { bucketsOf } from './with-nats.ts';

/** How a view stands, from what it has stored. */
export interface ViewReport {
  readonly view: string;
  /**
   * `never-run`; `lost` = the bucket that is said to be live is gone; `foreign` = filled from another incarnation of the
   * log; `other-version` = folded by another version.
   */
  readonly state: 'sound' | 'never-run' | 'lost' | 'foreign' | 'other-version';
  readonly bucket?: string;
  readonly version?: string;
  readonly groups?: number;
  readonly position: number;
  readonly lag: number;
  /** When its checkpoint was written, in milliseconds since the Unix epoch. */
  readonly checkpointAt?: number;
}

/** Every view of the product. @throws LogUnavailable */
export async function viewReports(config: Config, nats: Nats, log: Log): Promise<readonly ViewReport[]> {
  const { prefix } = config.log;
  const buckets = bucketsOf(config, nats.viewRequests);
  const aliases = createAliases(buckets, prefix);
  const settings = { ...defaultProjectionSettings, prefix, groups: config.projections.groups };
  const head = await log.head();
  return Promise.all(
    views.map(async (projection): Promise<ViewReport> => {
      const view = projection.name;
      const alias = (await aliases.read(view))?.alias;
      const bucket = alias && (await buckets.open(alias.bucket));
      if (alias === undefined) return { view, state: 'never-run', position: 0, lag: numberOf(head) };
      const { groups = 1, version } = alias;
      if (bucket === undefined)
        return {
          view,
          state: 'lost',
          bucket: alias.bucket,
          version,
          groups,
          position: 0,
          lag: numberOf(head),
        };
      const stored = await readLowest(bucket, groups);
      const isForeign =
        stored !== undefined &&
        (stored.value.incarnation !== log.incarnation ||
          (isAfter(stored.position, head) && isAfter(stored.position, await log.confirm())));
      const own = versionOf(projection, groupCountOf(projection, settings));
      const isOther = version !== own && !differInSkips(version, own);
      const position = stored?.position ?? BEGINNING;
      return {
        view,
        state: isForeign ? 'foreign' : isOther ? 'other-version' : 'sound',
        bucket: alias.bucket,
        version,
        groups,
        position: numberOf(position),
        lag: distance(position, head),
        ...(stored && { checkpointAt: stored.value.at }),
      };
    }),
  );
}

/** What the server holds besides the log. */
export interface ServerReport {
  readonly server: { readonly version: string; readonly name: string; readonly cluster?: string | undefined };
  readonly log: {
    readonly stream: string;
    readonly incarnation: string;
    readonly restoredFrom?: string | undefined;
    readonly position: number;
    readonly commits: number;
    readonly bytes: number;
    readonly replicas: number;
    readonly leader?: string | undefined;
    /** Replicas that are away or behind. */
    readonly missing: readonly string[];
  };
  /** `overdue`: fired, and nobody has handled them yet. */
  readonly timers: { readonly armed: number; readonly overdue: number };
  /** `pending`: not sent yet, as the stored place says, which may be half a second old. */
  readonly notifications: { readonly kept: number; readonly pending: number };
  /** `remake`: how the newest release stands with those of former folds; `left` revisions of the bucket to look at. */
  readonly snapshots: {
    readonly count: number;
    readonly bytes: number;
    readonly remake?: { readonly remade: number; readonly left: number; readonly ended: boolean } | undefined;
  };
}

/** @throws what the server says when the log is not there */
export async function serverReport(
  config: Config,
  { connection, requests }: Nats,
  log: Log,
): Promise<ServerReport> {
  const { prefix } = config.log;
  const jsm = await managerOf(requests);
  const timers = await streamWithBacklog(jsm, timersStream(prefix));
  const notifications = await notificationReport(config, requests, jsm);
  const snapshots = (await infoOf(jsm, `KV_${prefix}_snapshots`))?.state;
  return {
    ...(await logReport(config, { connection, requests }, log)),
    timers: { armed: Math.max(0, timers.messages - timers.waiting), overdue: timers.waiting },
    notifications,
    snapshots: {
      count: snapshots?.messages ?? 0,
      bytes: snapshots?.bytes ?? 0,
      remake: await remakeReport(config, requests),
    },
  };
}

/** The log, and the server that this process is connected to. @throws what the server says when the log is not there */
export async function logReport(
  { log: { stream, prefix } }: Config,
  { connection, requests }: Pick<Nats, 'connection' | 'requests'>,
  log: Log,
): Promise<Pick<ServerReport, 'server' | 'log'>> {
  const jsm = await managerOf(requests);
  // The log's own messages are no commits.
  const info = await jsm.streams.info(stream, { subjects_filter: `${prefix}.*` });
  const own = Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  const { replicas = [], leader } = info.cluster ?? {};
  return {
    server: {
      version: connection.info?.version ?? 'unknown',
      name: connection.info?.server_name ?? 'unknown',
      cluster: info.cluster?.name,
    },
    log: {
      stream,
      incarnation: log.incarnation,
      restoredFrom: info.config.metadata?.[RESTORED_FROM_KEY],
      position: info.state.last_seq,
      commits: info.state.messages - own,
      bytes: info.state.bytes,
      replicas: info.config.num_replicas,
      leader,
      missing: replicas.filter((peer) => peer.offline === true || !peer.current).map(({ name }) => name),
    },
  };
}

async function remakeReport(
  config: Config,
  requests: Requests,
): Promise<ServerReport['snapshots']['remake']> {
  const bucket = await bucketsOf(config, requests).open(`${config.log.prefix}_snapshots`);
  if (bucket === undefined) return undefined;
  const { releases } = await readReleases(bucket);
  const newest = Object.values(releases).reduce<Release | undefined>(
    (last, each) => (last === undefined || each.since > last.since ? each : last),
    undefined,
  );
  if (newest === undefined) return undefined;
  const { remade, floor, next, endedAt } = newest;
  return { remade, left: Math.max(0, next - 1 - floor), ended: endedAt !== undefined };
}

/** What is kept of notifications, and how many are not through. */
export async function notificationReport(
  config: Config,
  requests: Requests,
  jsm: JetStreamManager,
): Promise<ServerReport['notifications']> {
  const { prefix } = config.log;
  const stream = notificationStream(prefix);
  const state = (await infoOf(jsm, stream))?.state;
  if (state === undefined) return { kept: 0, pending: 0 };
  const stored = await readPlace(bucketsOf(config, requests), prefix, NOTIFICATIONS);
  const { waiting, open } = queueOf(stored?.sources[stream] ?? { high: 0, open: [] }, state);
  return { kept: state.messages, pending: waiting + open };
}

async function streamWithBacklog(
  jsm: JetStreamManager,
  name: string,
): Promise<{ messages: number; waiting: number }> {
  const info = await infoOf(jsm, name);
  if (info === undefined) return { messages: 0, waiting: 0 };
  let waiting = 0;
  const isDurable = ({ config }: ConsumerInfo): boolean => config.durable_name !== undefined;
  for await (const consumer of jsm.consumers.list(name)) {
    if (isDurable(consumer)) waiting += consumer.num_pending + consumer.num_ack_pending;
  }
  return { messages: info.state.messages, waiting };
}

async function infoOf(jsm: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await jsm.streams.info(name);
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}
