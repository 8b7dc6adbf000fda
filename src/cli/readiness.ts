import type { Readiness } from '../api/deps.ts';
import type { Log } from '../eventstore/log.ts';
import { type NatsServerReading, natsServerCheck } from '../platform/nats-monitor.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import type { ReadModels, ViewStatus } from '../projections/read-models.ts';
import type { Nats } from './open.ts';

/** A view this many commits behind still serves; further behind, readiness says no. */
const READY_LAG = 1_000;

/** A view that is behind and has not moved for this long stands still, in milliseconds. */
const STALLED_MS = 10_000;

type Check = { readonly ok: boolean; readonly detail?: string };

/** Notices, from one look to the next, a view that stands still while the log moves. */
export interface StallWatch {
  stalled(status: ViewStatus): boolean;
}

/** @param now milliseconds since the Unix epoch */
export function createStallWatch(now: () => number): StallWatch {
  const behind = new Map<string, { position: number; since: number }>();
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

/** Every reason at once; each check is bounded by the timeout of its own requests. */
export async function readiness(
  nats: Nats,
  log: Log,
  readModels: ReadModels,
  stalls: StallWatch,
  consumers: readonly ConsumerStatus[],
  servers: readonly NatsServerReading[] = [],
): Promise<Readiness> {
  const connected = nats.requests.connected();
  const logCheck = await log.head().then(
    (head) => ({ ok: true, detail: `position ${head}` }),
    (error: unknown) => ({ ok: false, detail: messageOf(error) }),
  );
  const views = await readModels.status().then(
    (statuses) =>
      statuses.map((status) => [`view ${status.view}`, viewCheck(status, stalls.stalled(status))] as const),
    (error: unknown) => [['views', { ok: false, detail: messageOf(error) }] as const],
  );
  const natsServers = natsServerCheck(servers);
  const checks: Record<string, Check> = {
    nats: connected ? { ok: true } : { ok: false, detail: 'not connected; reconnecting' },
    log: logCheck,
    ...(natsServers && { 'nats server': natsServers }),
    ...Object.fromEntries(views),
    ...Object.fromEntries(consumers.map((status) => [`consumer ${status.consumer}`, consumerCheck(status)])),
  };
  return { ok: Object.values(checks).every((check) => check.ok), checks };
}

function viewCheck({ running, lag, position, lastError }: ViewStatus, stalled: boolean): Check {
  const error = lastError === undefined ? '' : `, ${lastError}`;
  const standing = stalled ? ', standing still' : '';
  const detail = `position ${position}, ${lag} behind${standing}${error}`;
  return { ok: running && !stalled && lag <= READY_LAG, detail };
}

function consumerCheck({ stopped, lag, parked, lastError }: ConsumerStatus): Check {
  const error = lastError === undefined ? '' : `, ${lastError}`;
  return { ok: !stopped, detail: `${lag} behind, ${parked} parked${error}` };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
