import type { Tracer } from '@opentelemetry/api';
import type { ConsumersAdmin } from '../api/deps.ts';
import type { Log } from '../eventstore/log.ts';
import { createNatsBuckets } from '../eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../eventstore/runtime.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Buckets } from '../processes/engine/buckets.ts';
import { createControl } from '../processes/engine/control.ts';
import { createParkedPort, type ParkedPort } from '../processes/engine/parked-port.ts';
import type { ConsumerStatus } from '../processes/engine/status.ts';
import { consumerDescriptions } from '../processes/order-process/consumers.ts';
import { traceParked } from '../processes/telemetry/traced-parked.ts';
import { knownConsumers, readStandings, type StandingDeps } from './consumer-standing.ts';
import type { Nats } from './open.ts';

/** What the admin routes reach: parked commits and consumers of all instances. */
export function buildAdmin(
  config: Config,
  { requests }: Pick<Nats, 'requests'>,
  log: Log,
  local?: () => readonly ConsumerStatus[],
  tracer?: Tracer,
): { readonly parked: ParkedPort; readonly consumers: ConsumersAdmin } {
  const { prefix, replicas } = config.log;
  const timeoutMs = config.nats.requestTimeoutMs;
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({ requests, runtime, replicas, timeoutMs, announceLosses: false });
  const parked = createParkedPort({ buckets, prefix, runtime });
  return {
    parked: tracer === undefined ? parked : traceParked(parked, tracer),
    consumers: createConsumersAdmin({ buckets, prefix, log, runtime }, local),
  };
}

/** Status and control of the consumers of all instances; `local` is what those of this process say of themselves. */
export function createConsumersAdmin(
  deps: Omit<StandingDeps, 'consumers'> & { readonly buckets: Buckets },
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
      const standings = await readStandings({ ...deps, consumers: consumerDescriptions });
      return standings.map((standing) => {
        const status = here.get(standing.consumer);
        return status === undefined ? standing : { ...standing, here: status };
      });
    },
    pause: (consumer, by) => ifKnown(consumer, () => control.pause(consumer, by)),
    resume: (consumer, by) => ifKnown(consumer, () => control.resume(consumer, by)),
  };
}
