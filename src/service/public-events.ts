import { type Bucket, type Log, type Requests, systemRuntime } from '../eventstore/index.ts';
import type { Config } from '../platform/config/schema.ts';
import type { PlannedBucket, PlannedStream } from '../platform/topology.ts';
import type { DeliverySource } from '../processes/delivery/port.ts';
import {
  type AnyContract,
  type AsyncApi,
  asyncApiOf,
  type Buckets,
  createPublisher,
  openPublicStream,
  publicMarks,
  publicStreamConfig,
  publicStreamName,
  publicStreamObjection,
  publicStreamProblems,
  type Reaction,
} from '../processes/engine/index.ts';
import { publicSource } from '../processes/webhook/public-source.ts';
import { WrongContexts } from './errors.ts';
import { contracts } from './shop.ts';
import { toolVersion } from './version.ts';

/** A contract that is published. */
export interface PublishedContract {
  readonly contract: AnyContract;
  /** How long its messages are kept, in milliseconds; undefined = for ever. */
  readonly keepMs: number | undefined;
}

/** The types of all public events, published or not. */
export const publicTypes: readonly string[] = contracts.flatMap(({ events }) =>
  events.map(({ typeName }) => typeName),
);

type Publishing = Pick<Config, 'publicEvents'>;

const HOUR_MS = 3_600_000;
const UNITS_MS: Readonly<Record<string, number>> = { h: HOUR_MS, d: 24 * HOUR_MS };

/**
 * What `publicEvents.contexts` has published, in the order of the service's list.
 * @throws WrongContexts for one that has no contract, or is named twice
 */
export function publishedContracts({ publicEvents }: Publishing): readonly PublishedContract[] {
  const named = publicEvents.contexts.split(',').flatMap((entry) => {
    const [context = '', keep = ''] = entry.split('=').map((part) => part.trim());
    return context === '' ? [] : [[context, keep] as const];
  });
  const known = [...new Set(contracts.map(({ context }) => context))];
  for (const [at, [context]] of named.entries()) {
    if (!known.includes(context)) throw new WrongContexts(context, 'of which nothing is public', known);
    if (named.findIndex(([other]) => other === context) < at)
      throw new WrongContexts(context, 'twice', known);
  }
  const keepOf = new Map(named);
  return contracts.flatMap((contract) => {
    const keep = keepOf.get(contract.context);
    return keep === undefined ? [] : [{ contract, keepMs: millisecondsOf(keep) }];
  });
}

/** The public events that are published, to be delivered to webhooks. @throws WrongContexts */
export function publicSources(config: Config, requests: Requests): readonly DeliverySource[] {
  const { prefix } = config.log;
  const common = { requests, runtime: systemRuntime, prefix, timeoutMs: config.nats.requestTimeoutMs };
  return publishedContracts(config).map(({ contract }) => publicSource({ ...common, contract }));
}

function millisecondsOf(keep: string): number | undefined {
  return keep === 'forever' ? undefined : Number(keep.slice(0, -1)) * (UNITS_MS[keep.slice(-1)] ?? HOUR_MS);
}

/** The streams of what is published. */
export function publicStreams(config: Pick<Config, 'log' | 'publicEvents'>): readonly PlannedStream[] {
  const { prefix, replicas } = config.log;
  return publishedContracts(config).map(({ contract, keepMs }) => {
    const settings = { prefix, replicas, keepMs };
    return {
      config: publicStreamConfig(contract, settings),
      problems: (existing) => publicStreamProblems(existing, contract, settings),
      objection: (existing) => publicStreamObjection(existing, contract, settings),
    };
  });
}

const areSomeLimited = (config: Publishing): boolean =>
  publishedContracts(config).some(({ keepMs }) => keepMs !== undefined);

/** Where the numbers of public events outlive their messages, where some expire. */
export function publicBuckets(config: Pick<Config, 'log' | 'publicEvents'>): readonly PlannedBucket[] {
  const { prefix, replicas } = config.log;
  const kind = { replicas, persist: 'sync', storage: 'file' } as const;
  const what = 'numbers of public events that have expired; kept for ever';
  return areSomeLimited(config) ? [{ name: publicMarks(prefix), what, kind }] : [];
}

/** Who says what of the log's events: `/jetledger/orders/v1`. */
export function sourceOf({ stream }: Config['log'], { context, version }: AnyContract): string {
  return `/${stream}/${context}/v${version}`;
}

/** What the service publishes with this configuration, for whoever reads it. */
export function documentOf(config: Publishing & { readonly log: Pick<Config['log'], 'prefix'> }): AsyncApi {
  const published = publishedContracts(config).map(({ contract, keepMs }) => {
    const kept = keepMs === undefined ? 'for ever' : `for ${keepMs / HOUR_MS} hours`;
    return { contract, stream: publicStreamName(config.log.prefix, contract), kept };
  });
  const { format } = config.publicEvents;
  return asyncApiOf(published, { title: 'JetLedger public events', version: toolVersion(), format });
}

/** The publishers of this process, as reactions. */
export async function createPublishers(
  { config, requests, log }: { readonly config: Config; readonly requests: Requests; readonly log: Log },
  buckets: Buckets,
): Promise<readonly Reaction[]> {
  const { prefix } = config.log;
  const { format } = config.publicEvents;
  const timeoutMs = config.nats.requestTimeoutMs;
  const marks: Bucket | undefined = areSomeLimited(config)
    ? await buckets.create(publicMarks(prefix), { durable: true })
    : undefined;
  return publishedContracts(config).map(({ contract, keepMs }) =>
    createPublisher({
      contract,
      log,
      stream: openPublicStream({ requests, prefix, contract, format, timeoutMs }),
      marks: keepMs === undefined ? undefined : marks,
      source: sourceOf(config.log, contract),
    }),
  );
}
