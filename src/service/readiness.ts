import type { Readiness } from '../api/deps.ts';
import {
  type Log,
  numberOf,
  type Position,
  probeWrites,
  type Requests,
  reasonOf,
  systemRuntime,
} from '../eventstore/index.ts';
import { type Config, hasRole } from '../platform/config/schema.ts';
import { type NatsMonitor, natsServerCheck } from '../platform/nats-monitor.ts';
import type { ConsumerStatus } from '../processes/engine/index.ts';
import type { ViewReader, ViewStatus } from '../projections/engine/index.ts';
import type { Losses, LossWatch } from './losses.ts';
import { categories } from './shop.ts';

/** A view this many commits behind still serves; further behind, readiness says no. */
const READY_LAG = 5_000;

/** Consumers of a process that only reacts to events are caught up when they are at most this far behind. */
const CONSUMER_READY_LAG = 10_000;

/** A view that is behind and has not moved for this long stands still, in milliseconds. */
const STALLED_MS = 10_000;

/** An aggregate of each category that nobody makes, to ask whether one could be. */
const PROBED = 'readiness';

type Check = { readonly ok: boolean; readonly detail?: string };
type Checks = Readonly<Record<string, Check>>;

/** Notices, from one look to the next, a view that stands still while the log moves. */
export interface StallWatch {
  stalled(status: ViewStatus): boolean;
}

/** @param now milliseconds since the Unix epoch */
export function createStallWatch(now: () => number): StallWatch {
  const behind = new Map<string, { position: Position; since: number }>();
  return {
    stalled: ({ view, position, lag }) => {
      const last = behind.get(view);
      if (lag === 0) behind.delete(view);
      else if (last?.position !== position) behind.set(view, { position, since: now() });
      else return now() - last.since > STALLED_MS;
      return false;
    },
  };
}

/** What is looked at. */
interface Sources {
  readonly config: Config;
  readonly nats: { readonly requests: Pick<Requests, 'connected' | 'request' | 'denials'> };
  readonly log: Pick<Log, 'confirm'>;
}

/** What a process does that can fall behind. */
interface Followers {
  readonly views: Pick<ViewReader, 'status'>;
  /** The consumers of this process. */
  readonly consumers: () => readonly ConsumerStatus[];
  readonly monitor: Pick<NatsMonitor, 'latest'>;
  readonly losses: Pick<LossWatch, 'latest'>;
}

/** How a process stands, for load balancers and orchestrators. */
export interface Health {
  /** Every reason at once, of the roles that the process has; each check is bounded by the timeout of its requests. */
  ready(): Promise<Readiness>;
  /** As `ready` until it was once, but for the backlog of consumers; from then on fine. */
  startup(): Promise<Readiness>;
}

/** @param stopping true once the process is being stopped: from then on it is not ready */
export function createHealth(sources: Sources, followers: Followers, stopping: () => boolean): Health {
  const stalls = createStallWatch(systemRuntime.now);
  const keepsViews = hasRole(sources.config, 'projections');
  // Who answers requests goes on doing so while the backlog of its consumers is worked off.
  const consumerLag = hasRole(sources.config, 'api') ? Number.POSITIVE_INFINITY : CONSUMER_READY_LAG;
  let startedAt: string | undefined;

  const look = async (maxConsumerLag: number): Promise<Readiness> => {
    const [log, writable, views] = await Promise.all([
      logCheck(sources),
      writeCheck(sources),
      keepsViews ? viewChecks(followers.views, stalls) : {},
    ]);
    const connected = sources.nats.requests.connected();
    const natsServers = natsServerCheck(followers.monitor.latest());
    const checks: Checks = {
      ...(stopping() && { stopping: { ok: false, detail: 'the process is being stopped' } }),
      nats: connected ? { ok: true } : { ok: false, detail: 'not connected; reconnecting' },
      log,
      ...(writable && { 'log writable': writable }),
      ...permissionCheck(sources),
      ...(natsServers && { 'nats server': natsServers }),
      ...views,
      ...consumerChecks(followers.consumers(), maxConsumerLag),
      ...lossChecks(followers.losses.latest()),
    };
    return { ok: Object.values(checks).every((check) => check.ok), checks };
  };

  return {
    ready: () => look(consumerLag),
    startup: async () => {
      if (startedAt === undefined) {
        const readiness = await look(Number.POSITIVE_INFINITY);
        if (!readiness.ok) return readiness;
        startedAt ??= new Date(systemRuntime.now()).toISOString();
      }
      return { ok: true, checks: { started: { ok: true, detail: `caught up at ${startedAt}` } } };
    },
  };
}

function logCheck({ log }: Sources): Promise<Check> {
  return log.confirm().then(
    (head) => ({ ok: true, detail: `position ${numberOf(head)}` }),
    (error: unknown) => ({ ok: false, detail: reasonOf(error) }),
  );
}

/** Undefined in a process that only reads the log. */
async function writeCheck({ config, nats }: Sources): Promise<Check | undefined> {
  if (!hasRole(config, 'api') && !hasRole(config, 'processes')) return undefined;
  const { prefix } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const asked = categories.map((category) =>
    probeWrites(nats.requests, { prefix, stream: { category, id: PROBED }, timeoutMs }),
  );
  const reasons = new Set((await Promise.all(asked)).filter((reason) => reason !== undefined));
  return reasons.size === 0 ? { ok: true } : { ok: false, detail: [...reasons].join('; ') };
}

/**
 * Only where NATS denied something a short while ago. Appends are asked for anew each time (`writeCheck`), and a snapshot
 * that cannot be written costs time: no reason to send nobody here.
 */
function permissionCheck({ config, nats }: Sources): Checks {
  const { prefix } = config.log;
  const passedOver = [`${prefix}.`, `$KV.${prefix}_snapshots.`];
  const denied = nats.requests
    .denials()
    .filter(({ subject }) => !passedOver.some((start) => subject.startsWith(start)));
  const last = denied.at(-1);
  if (last === undefined) return {};
  const others = denied.length === 1 ? '' : ` And ${denied.length - 1} more.`;
  return { 'nats permissions': { ok: false, detail: last.message + others } };
}

async function viewChecks(views: Followers['views'], stalls: StallWatch): Promise<Checks> {
  try {
    const statuses = await views.status();
    return Object.fromEntries(
      statuses.map((status) => [`view ${status.view}`, viewCheck(status, stalls.stalled(status))]),
    );
  } catch (error) {
    return { views: { ok: false, detail: reasonOf(error) } };
  }
}

function viewCheck({ running, lag, position, lastError }: ViewStatus, stalled: boolean): Check {
  const error = lastError === undefined ? '' : `, ${lastError}`;
  const still = stalled ? ', standing still' : '';
  const detail = `position ${numberOf(position)}, ${lag} behind${still}${error}`;
  return { ok: running && !stalled && lag <= READY_LAG, detail };
}

/** Each takes the place of the check that it fails, whose own detail would name no cure. */
function lossChecks(losses: Losses): Checks {
  return Object.fromEntries([...losses].map(([check, detail]) => [check, { ok: false, detail }]));
}

function consumerChecks(statuses: readonly ConsumerStatus[], maxLag: number): Checks {
  return Object.fromEntries(
    statuses.map(({ consumer, stopped, lag, parked, lastError }) => {
      const error = lastError === undefined ? '' : `, ${lastError}`;
      const detail = `${lag} behind, ${parked} parked${error}`;
      return [`consumer ${consumer}`, { ok: !stopped && lag <= maxLag, detail }];
    }),
  );
}
