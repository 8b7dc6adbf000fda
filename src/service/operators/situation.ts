import type { Situation, SituationAdmin } from '../../api/operators/ports.ts';
import { type Log, managerOf, systemRuntime } from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import type { NatsMonitor } from '../../platform/nats-monitor.ts';
import { bucketNames } from '../../processes/engine/index.ts';
import type { Nats } from '../open.ts';
import { logReport } from '../status.ts';
import { bucketsOf } from '../with-nats.ts';
import { readInstances } from './instances.ts';
import { answersBucket } from './requests.ts';

/** Servers, log and processes, as far as the user of this process may ask. */
export function createSituation(
  config: Config,
  nats: Nats,
  log: Log,
  monitor: Pick<NatsMonitor, 'latest'>,
): SituationAdmin {
  const { prefix } = config.log;
  const own = bucketsOf(config, nats.requests);
  const ofViews = bucketsOf(config, nats.viewRequests);
  return async () => {
    const [report, storage, shared, answers] = await Promise.all([
      logReport(config, nats, log),
      storageOf(nats),
      own.open(bucketNames(prefix).shared),
      ofViews.open(answersBucket(prefix)),
    ]);
    const { stream, incarnation, position, commits, bytes, replicas, missing, leader } = report.log;
    return {
      log: {
        ...{ stream, incarnation, commits, bytes, leader },
        head: position,
        copies: { wanted: replicas, missing },
      },
      ...(storage && { storage }),
      servers: serversOf(report.server, monitor),
      instances: await readInstances([shared, answers], systemRuntime),
    };
  };
}

function serversOf(
  connected: { readonly name: string; readonly version: string },
  monitor: Pick<NatsMonitor, 'latest'>,
): Situation['servers'] {
  const readings = monitor.latest();
  if (readings.length === 0) return [{ name: connected.name, version: connected.version }];
  return readings.map(({ server: name, version, syncAlways, illness, memoryBytes }) => ({
    ...{ name, version, syncAlways, memoryBytes },
    ...(illness !== undefined && { illness }),
  }));
}

/** Of the account; undefined where nobody limits it, or it must not be asked. */
async function storageOf({ requests }: Nats): Promise<Situation['storage'] | undefined> {
  try {
    const { storage, limits } = await (await managerOf(requests)).getAccountInfo();
    return { usedBytes: storage, limitBytes: Math.max(0, limits.max_storage) };
  } catch {
    return undefined;
  }
}
