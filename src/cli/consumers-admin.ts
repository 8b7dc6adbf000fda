import type { ConsumersAdmin } from '../api/deps.ts';
import type { Log } from '../eventstore/log.ts';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Buckets } from '../processes/engine/buckets.ts';
import { createControl } from '../processes/engine/control.ts';
import { createParkedPort, type ParkedPort } from '../processes/engine/parked-port.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import { knownConsumers, readStandings, type StandingDeps } from './consumer-standing.ts';
import type { Nats } from './open.ts';

/** What each consumer of the product reads. */
const CATEGORIES: ReadonlyMap<string, string> = new Map([
  ['order-process', 'order'],
  ['stock-watch', 'product'],
  ['customer-watch', 'user'],
  ['email-backstop', 'email'],
]);

/** What the admin routes reach: parked commits and consumers of all instances. */
export function buildAdmin(
  config: Config,
  { requests }: Pick<Nats, 'requests'>,
  log: Log,
  local?: () => readonly ConsumerStatus[],
): { readonly parked: ParkedPort; readonly consumers: ConsumersAdmin } {
  const { prefix, replicas } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
  return {
    parked: createParkedPort({ buckets, prefix, runtime }),
    consumers: createConsumersAdmin({ buckets, prefix, log, runtime }, local),
  };
}

/** Status and control of the consumers of all instances; `local` is what those of this process say of themselves. */
export function createConsumersAdmin(
  deps: Omit<StandingDeps, 'categories'> & { readonly buckets: Buckets },
  local: () => readonly ConsumerStatus[] = () => [],
): ConsumersAdmin {
  const control = createControl(deps);
  const ifKnown = async (consumer: string, change: () => Promise<void>): Promise<boolean> => {
    if (!(await knownConsumers(deps)).includes(consumer)) return false;
    await change();
    return true;
  };
  return {
    status: async () => {
      const here = new Map(local().map((status) => [status.consumer, status]));
      const standings = await readStandings({ ...deps, categories: CATEGORIES });
      return standings.map((standing) => {
        const status = here.get(standing.consumer);
        return status === undefined ? standing : { ...standing, here: status };
      });
    },
    pause: (consumer, by) => ifKnown(consumer, () => control.pause(consumer, by)),
    resume: (consumer, by) => ifKnown(consumer, () => control.resume(consumer, by)),
  };
}
