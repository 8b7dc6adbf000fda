import type { Readiness } from '../api/deps.ts';
import type { Log } from '../eventstore/log.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import type { ReadModels, ViewStatus } from '../projections/read-models.ts';
import type { Nats } from './open.ts';

/** A view this many commits behind still serves; further behind, readiness says no. */
const READY_LAG = 1_000;

type Check = { readonly ok: boolean; readonly detail?: string };

/** Every reason at once; each check is bounded by the timeout of its own requests. */
export async function readiness(
  nats: Nats,
  log: Log,
  readModels: ReadModels,
  consumers: readonly ConsumerStatus[],
): Promise<Readiness> {
  const connected = nats.requests.connected();
  const logCheck = await log.head().then(
    (head) => ({ ok: true, detail: `position ${head}` }),
    (error: unknown) => ({ ok: false, detail: messageOf(error) }),
  );
  const views = await readModels.status().then(
    (statuses) => statuses.map((status) => [`view ${status.view}`, viewCheck(status)] as const),
    (error: unknown) => [['views', { ok: false, detail: messageOf(error) }] as const],
  );
  const checks: Record<string, Check> = {
    nats: connected ? { ok: true } : { ok: false, detail: 'not connected; reconnecting' },
    log: logCheck,
    ...Object.fromEntries(views),
    ...Object.fromEntries(consumers.map((status) => [`consumer ${status.consumer}`, consumerCheck(status)])),
  };
  return { ok: Object.values(checks).every((check) => check.ok), checks };
}

function viewCheck({ running, lag, position, lastError }: ViewStatus): { ok: boolean; detail: string } {
  const detail = `position ${position}, ${lag} behind${lastError === undefined ? '' : `, ${lastError}`}`;
  return { ok: running && lag <= READY_LAG, detail };
}

function consumerCheck({ stopped, lag, parked, lastError }: ConsumerStatus): Check {
  const error = lastError === undefined ? '' : `, ${lastError}`;
  return { ok: !stopped, detail: `${lag} behind, ${parked} parked${error}` };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
