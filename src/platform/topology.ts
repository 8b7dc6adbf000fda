import { randomUUID } from 'node:crypto';
import { jetstreamManager, StoreCompression, type StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { addStream } from '../eventstore/nats/add-stream.ts';
import {
  INCARNATION_KEY,
  isStreamMissing,
  logStreamConfig,
  logStreamProblems,
} from '../eventstore/nats/log-stream.ts';
import type { Config } from './config/schema.ts';
import { NatsUnusable } from './nats-connection.ts';
import { applyBuckets, type PlannedBucket, planBuckets } from './topology-buckets.ts';
import { changesOf, describeChanges, type TopologyStep } from './topology-changes.ts';

/** Where the check value of the e-mail key stands in the log's metadata. */
const EMAIL_KEY_CHECK = 'jetledger.email-key-check';

/** A stream beside the log: nothing in it is history, so what differs is brought to the configuration. */
export interface PlannedStream {
  readonly config: Partial<StreamConfig> & { readonly name: string };
  /** What keeps an existing stream from being this one; none = fit. */
  readonly problems: (existing: StreamConfig) => readonly string[];
}

export interface TopologyDeps {
  readonly connection: NatsConnection;
  readonly log: Config['log'];
  /** Proves later that the service still hashes e-mail addresses with the same key (protocol 6). */
  readonly emailKeyCheck: string;
  readonly streams: readonly PlannedStream[];
  /** Looked at when given; the service makes what is missing of them by itself. */
  readonly buckets?: readonly PlannedBucket[];
}

/** What `applyTopology` would do, without doing it. */
export async function planTopology(deps: TopologyDeps): Promise<TopologyStep[]> {
  const steps = [planLog(deps, await readStream(deps.connection, deps.log.stream))];
  for (const stream of deps.streams) {
    steps.push(diffStream(stream, await readStream(deps.connection, stream.config.name)));
  }
  return [...steps, ...(await planBuckets(deps.connection, deps.buckets ?? []))];
}

/**
 * Creates the log's stream, or brings the replicas of an existing one to the configuration. Never touches anything
 * that holds history.
 * @throws NatsUnusable when the existing stream could lose history or belongs to another e-mail key
 */
export async function applyTopology(deps: TopologyDeps): Promise<TopologyStep[]> {
  const { connection, log, emailKeyCheck } = deps;
  const jsm = await jetstreamManager(connection);
  const [step, ...others] = await planTopology(deps);
  if (step === undefined) return [];
  if (step.action === 'refuse') throw new NatsUnusable(`The topology cannot be applied: ${step.detail}.`);
  if (step.action === 'create') {
    const metadata = { [INCARNATION_KEY]: randomUUID(), [EMAIL_KEY_CHECK]: emailKeyCheck };
    await changing(log.stream, addStream(jsm, logStreamConfig(log, metadata)));
  }
  if (step.action === 'update') {
    const compression = StoreCompression.None;
    await changing(log.stream, jsm.streams.update(log.stream, { num_replicas: log.replicas, compression }));
  }
  for (const [index, { config }] of deps.streams.entries()) {
    const { action } = others[index] ?? {};
    if (action === 'create') await changing(config.name, addStream(jsm, config));
    if (action === 'update') await changing(config.name, jsm.streams.update(config.name, config));
  }
  const steps = others.slice(deps.streams.length);
  await changing('buckets', applyBuckets(jsm, deps.buckets ?? [], steps));
  return [step, ...others];
}

/** @throws NatsUnusable with the server's reason, when it refuses */
async function changing(name: string, change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NatsUnusable(`The server does not make ${name} as configured: ${reason}.`, cause);
  }
}

/**
 * Refuses to run without the streams beside the log.
 * @throws NatsUnusable naming the command that makes them
 */
export async function checkStreams(
  connection: NatsConnection,
  streams: readonly PlannedStream[],
): Promise<void> {
  for (const stream of streams) {
    const { action, what, detail } = planStream(stream, await readStream(connection, stream.config.name));
    if (action === 'none') continue;
    const state = action === 'create' ? 'is missing' : `is not as configured (${detail})`;
    throw new NatsUnusable(`The ${what} ${state}. Run: jetledger topology apply`);
  }
}

function planStream({ config, problems }: PlannedStream, existing: StreamConfig | undefined): TopologyStep {
  const what = `stream ${config.name}`;
  if (existing === undefined)
    return { what, action: 'create', detail: `subjects ${config.subjects?.join(', ')}` };
  const found = problems(existing);
  if (found.length > 0) return { what, action: 'update', detail: found.join('; ') };
  return { what, action: 'none', detail: 'as configured' };
}

/** As `planStream`, and everything else that differs from the configuration. */
function diffStream(stream: PlannedStream, existing: StreamConfig | undefined): TopologyStep {
  const step = planStream(stream, existing);
  const changes = existing === undefined ? [] : changesOf(existing, stream.config);
  if (changes.length === 0) return step;
  const detail = step.action === 'none' ? describeChanges(changes) : step.detail;
  return { ...step, action: 'update', detail, changes };
}

/** @throws NatsUnusable when the log was made with another e-mail key: uniqueness would be gone silently */
export function checkEmailKey(config: StreamConfig, emailKeyCheck: string): void {
  const stored = config.metadata?.[EMAIL_KEY_CHECK];
  if (stored === emailKeyCheck) return;
  throw new NatsUnusable(
    `The log ${config.name} was made with another e-mail key (users.emailKey). Set the key it was made with, ` +
      'or addresses would be taken twice.',
  );
}

async function readStream(connection: NatsConnection, name: string): Promise<StreamConfig | undefined> {
  const jsm = await jetstreamManager(connection);
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

function planLog({ log, emailKeyCheck }: TopologyDeps, existing: StreamConfig | undefined): TopologyStep {
  const what = `stream ${log.stream}`;
  if (existing === undefined) {
    return {
      what,
      action: 'create',
      detail: `subjects ${log.prefix}.>, ${log.replicas} replica(s), kept for ever`,
    };
  }
  const problems = logStreamProblems(existing, log);
  if (problems.length > 0) return { what, action: 'refuse', detail: `${what}: ${problems.join('; ')}` };
  if (existing.metadata?.[EMAIL_KEY_CHECK] !== emailKeyCheck) {
    return { what, action: 'refuse', detail: `${what} was made with another e-mail key (users.emailKey)` };
  }
  if (existing.num_replicas !== log.replicas) {
    const changes = [{ field: 'num_replicas', current: existing.num_replicas, wanted: log.replicas }];
    return { what, action: 'update', detail: describeChanges(changes), changes };
  }
  return { what, action: 'none', detail: 'as configured' };
}
