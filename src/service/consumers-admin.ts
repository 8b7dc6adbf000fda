import type { Tracer } from '@opentelemetry/api';
import type { ConsumerReport, ConsumersAdmin, ServiceDeps } from '../api/deps.ts';
import {
  BEGINNING,
  type Bucket,
  createNatsBuckets,
  isAfter,
  type Log,
  type LogFilter,
  type Position,
  type RecordedCommit,
  type Runtime,
  type SlotGroup,
  systemRuntime,
  timeOf,
} from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import {
  type Buckets,
  bucketNames,
  CONTROL,
  type ConsumerStatus,
  type ControlValue,
  type CursorValue,
  createControl,
  createDeadLetterPort,
  filterOf,
  GROUPS,
  groupKey,
  LEASE,
  parseEntryKey,
  parseRow,
  SESSION,
  type SessionValue,
  startKey,
  traceEngine,
} from '../processes/engine/index.ts';

import type { ReactionDefinition } from '../processes/order/reactions.ts';
import type { Nats } from './open.ts';
import { type WaitingDeliveries, waitingDeliveries } from './operators/waiting-deliveries.ts';
import { consumers, hiddenFields } from './shop.ts';
import { createSkips } from './skips.ts';

/** Where every instance leaves its traces. */
export interface ReportDeps {
  readonly buckets: Pick<Buckets, 'open'>;
  readonly prefix: string;
  readonly log: Log;
  readonly runtime: Runtime;
  /** What the consumers of this version read; one of another version is taken to read everything, one without sources nothing. */
  readonly consumers: readonly Pick<ReactionDefinition, 'name' | 'sources'>[];
  /** What waits for those without sources. */
  readonly waiting: WaitingDeliveries;
}

/** What is counted of a consumer's groups. */
interface Backlog {
  readonly lag: number;
  readonly oldest: { readonly position: Position; readonly at: number } | undefined;
}

/**
 * How the consumers stand on all instances, from the buckets of the engine and the log; as old as the last cursors,
 * which are written every tenth of a second. Consumers that never ran are not known.
 * @throws LogUnavailable
 */
export async function readConsumerReports(deps: ReportDeps): Promise<readonly ConsumerReport[]> {
  const names = bucketNames(deps.prefix);
  const [shared, cursors, parked] = await Promise.all([
    deps.buckets.open(names.shared),
    deps.buckets.open(names.cursors),
    deps.buckets.open(names.parked),
  ]);
  if (shared === undefined) return [];
  const { counts, controls, leases, sessions } = await readShared(shared);
  const deadLettersOf = await countDeadLetters(parked);
  const reports: ConsumerReport[] = [];
  for (const [consumer, of] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const groups = Array.from({ length: of }, (_, index): SlotGroup => ({ count: of, index }));
    const { lag, oldest } = await backlogOf(deps, cursors, consumer, groups);
    const control = controls.get(consumer);
    const owners = groups.flatMap((group) => {
      const session = leases.get(groupKey(consumer, group));
      return session === undefined
        ? []
        : [{ group: group.index, instance: sessions.get(session) ?? session }];
    });
    reports.push({
      consumer,
      lag,
      lagSeconds: oldest === undefined ? 0 : Math.max(0, (deps.runtime.now() - oldest.at) / 1_000),
      ...(oldest && { oldest }),
      parked: deadLettersOf.get(consumer) ?? 0,
      paused: control?.paused === true,
      ...(control?.paused && { pause: pauseOf(control) }),
      groups: { of, held: owners.length },
      owners,
    });
  }
  return reports;
}

/** The names of all consumers that ever ran. @throws LogUnavailable */
export async function knownConsumers({
  buckets,
  prefix,
}: Pick<ReportDeps, 'buckets' | 'prefix'>): Promise<readonly string[]> {
  const shared = await buckets.open(bucketNames(prefix).shared);
  return shared === undefined ? [] : [...(await readShared(shared)).counts.keys()].sort();
}

async function readShared(bucket: Bucket) {
  const counts = new Map<string, SlotGroup['count']>();
  const controls = new Map<string, ControlValue>();
  const leases = new Map<string, string>();
  const sessions = new Map<string, string>();
  for await (const row of bucket.rows()) {
    const { key } = row;
    if (key.startsWith(GROUPS)) {
      const count = parseRow<{ count: SlotGroup['count'] }>(row)?.count;
      if (count !== undefined) counts.set(key.slice(GROUPS.length), count);
    } else if (key.startsWith(CONTROL)) {
      const value = parseRow<ControlValue>(row);
      if (value !== undefined) controls.set(key.slice(CONTROL.length), value);
    } else if (key.startsWith(LEASE)) {
      const session = parseRow<{ session: string }>(row)?.session;
      leases.set(key.slice(LEASE.length), session ?? '');
    } else if (key.startsWith(SESSION)) {
      const instance = parseRow<SessionValue>(row)?.instance;
      if (instance !== undefined) sessions.set(key.slice(SESSION.length), instance);
    }
  }
  return { counts, controls, leases, sessions };
}

/** What a group of a consumer has read and not done, and which timers it holds back. */
export type OpenWork = { readonly consumer: string } & Required<Pick<CursorValue, 'open' | 'timers'>>;

/** The open work of all consumers, as of their last cursors. @throws LogUnavailable */
export async function readOpenWork({
  buckets,
  prefix,
}: Pick<ReportDeps, 'buckets' | 'prefix'>): Promise<readonly OpenWork[]> {
  const names = bucketNames(prefix);
  const [shared, cursors] = await Promise.all([buckets.open(names.shared), buckets.open(names.cursors)]);
  if (shared === undefined || cursors === undefined) return [];
  const consumerOf = new Map<string, string>();
  for (const [consumer, count] of (await readShared(shared)).counts)
    for (let index = 0; index < count; index++)
      consumerOf.set(groupKey(consumer, { count, index }), consumer);
  const rows = await cursors.getAll([...consumerOf.keys()]);
  return rows.flatMap((row) => {
    const { open = [], timers = [] } = parseRow<CursorValue>(row) ?? {};
    return [{ consumer: consumerOf.get(row.key) ?? '', open, timers }];
  });
}

function pauseOf({ by, at, reason }: ControlValue) {
  return { by, at, ...(reason !== undefined && { reason }) };
}

async function countDeadLetters(bucket: Bucket | undefined): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  if (bucket === undefined) return counts;
  for await (const { key } of bucket.rows()) {
    const consumer = parseEntryKey(key)?.consumer;
    if (consumer !== undefined) counts.set(consumer, (counts.get(consumer) ?? 0) + 1);
  }
  return counts;
}

async function backlogOf(
  { log, consumers, waiting }: ReportDeps,
  cursors: Bucket | undefined,
  consumer: string,
  groups: readonly SlotGroup[],
): Promise<Backlog> {
  const known = consumers.find(({ name }) => name === consumer);
  // It keeps places in other streams, so nothing of the log waits for it, and how old something is says nothing of it.
  if (known?.sources.length === 0) return { lag: (await waiting.get(consumer)?.()) ?? 0, oldest: undefined };
  const sources = known?.sources ?? [];
  let lag = 0;
  let oldest: RecordedCommit | undefined;
  const cursor = async (key: string) => parseRow<CursorValue>(await cursors?.get(key, { leader: true }));
  for (const group of groups) {
    const found = (await cursor(groupKey(consumer, group))) ?? (await cursor(startKey(consumer)));
    const { high = BEGINNING, open = [] } = found ?? {};
    const unread = await countAfter(log, high, filterOf({ sources }, group));
    lag += open.length + unread.count;
    const [at] = open;
    const first = at === undefined ? unread.first : await log.at(at);
    if (first === undefined) continue;
    if (oldest === undefined || isAfter(oldest.position, first.position)) oldest = first;
  }
  return { lag, oldest: oldest && { position: oldest.position, at: timeOf(oldest) } };
}

/** The first batch says how many follow it; the rest need not be read. */
async function countAfter(
  log: Log,
  after: Position,
  filter: LogFilter,
): Promise<{ count: number; first: RecordedCommit | undefined }> {
  for await (const { commits, pending } of log.scan({ after, filter })) {
    return { count: commits.length + pending, first: commits[0] };
  }
  return { count: 0, first: undefined };
}

/** What the admin routes reach: dead letters and consumers of all instances. */
export function buildAdmin(
  config: Config,
  { requests }: Pick<Nats, 'requests'>,
  log: Log,
  local?: () => readonly ConsumerStatus[],
  tracer?: Tracer,
): Pick<ServiceDeps['admin'], 'parked' | 'consumers' | 'skips'> {
  const { prefix, replicas } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
  const observer = tracer && traceEngine({ tracer, prefix, now: runtime.now });
  return {
    parked: createDeadLetterPort({ buckets, prefix, runtime, observer, hidden: hiddenFields }),
    consumers: createConsumersAdmin(
      { buckets, prefix, log, runtime, waiting: waitingDeliveries(config, requests, log) },
      local,
    ),
    skips: createSkips({ log, buckets, prefix, runtime }),
  };
}

/** Status and control of the consumers of all instances; `local` is what those of this process say of themselves. */
export function createConsumersAdmin(
  deps: Omit<ReportDeps, 'consumers'> & { readonly buckets: Buckets },
  local: () => readonly ConsumerStatus[] = () => [],
): ConsumersAdmin {
  const control = createControl(deps);
  const has = async (consumer: string) => (await knownConsumers(deps)).includes(consumer);
  const ifKnown = async (consumer: string, change: () => Promise<void>): Promise<boolean> => {
    if (!(await has(consumer))) return false;
    await change();
    return true;
  };
  return {
    has,
    status: async () => {
      const here = new Map(local().map((status) => [status.consumer, status]));
      const reports = await readConsumerReports({ ...deps, consumers });
      return reports.map((report) => {
        const status = here.get(report.consumer);
        return status === undefined ? report : { ...report, here: status };
      });
    },
    pause: (consumer, by, reason) => ifKnown(consumer, () => control.pause(consumer, by, reason)),
    resume: (consumer, by) => ifKnown(consumer, () => control.resume(consumer, by)),
  };
}
