import { createNatsBuckets, type Log, managerOf, type Requests, systemRuntime } from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import { type Nats, openLog, openNats } from './open.ts';
import { isOwnStream } from './topology.ts';

/** Work on a connected server, which is left as it is; nothing stays open. */
export async function withNats<T>(config: Config, work: (nats: Nats) => Promise<T>): Promise<T> {
  const nats = await openNats(config, 'bare');
  try {
    return await work(nats);
  } finally {
    await nats.close();
  }
}

/** The log, for a command that only looks: what is said of an unsafe log belongs to `serve` and `doctor`. */
export function quietLog(config: Config, nats: Nats): Promise<Log> {
  return openLog({ ...config, environment: 'development' }, nats, () => undefined);
}

/** The buckets of a server: what the service keeps, or, by `viewRequests`, the views. */
export function bucketsOf({ log, nats }: Config, requests: Requests) {
  const { replicas } = log;
  const timeoutMs = nats.requestTimeoutMs;
  return createNatsBuckets({ requests, runtime: systemRuntime, replicas, timeoutMs, announceLosses: false });
}

/** The names of JetLedger's streams on a server, in their order there. */
export async function ownStreams({ log }: Config, requests: Requests): Promise<string[]> {
  const jsm = await managerOf(requests);
  const names: string[] = [];
  for await (const name of jsm.streams.names()) if (isOwnStream(log, name)) names.push(name);
  return names;
}
