import { randomUUID } from 'node:crypto';
import {
  DiscardPolicy,
  type JetStreamManager,
  PersistMode,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import {
  addStream,
  type BucketKind,
  bucketConfig,
  bucketStream,
  INCARNATION_KEY,
  isStreamMissing,
  logStreamConfig,
  logStreamProblems,
  managerOf,
  type Requests,
  reasonOf,
} from '../eventstore/index.ts';

import type { Config } from './config/schema.ts';
import { GUARDED, NatsUnusable } from './nats-connection.ts';
import { objectionToNewLog } from './new-log.ts';

/** What the calls on JetStream's API need. */
type Manageable = Pick<Requests, 'connection' | 'apiPrefix'>;

/** A field of a stream's configuration that differs from what is wanted. */
export interface FieldChange {
  readonly field: string;
  readonly current: unknown;
  readonly wanted: unknown;
}

/** One thing that `apply` would do, or refuses to do. */
export interface TopologyStep {
  readonly what: string;
  readonly action: 'create' | 'update' | 'none' | 'refuse';
  readonly detail: string;
  /** Field by field, where something exists and is to be another. */
  readonly changes?: readonly FieldChange[];
}

/** What `update` would change: only fields that `wanted` names count. */
export function changesOf(existing: StreamConfig, wanted: Partial<StreamConfig>): readonly FieldChange[] {
  const current = existing as Readonly<Partial<Record<string, unknown>>>;
  return Object.entries(wanted)
    .filter(([field, value]) => JSON.stringify(current[field]) !== JSON.stringify(value))
    .map(([field, value]) => ({ field, current: current[field], wanted: value }));
}

const NANOS_PER_SECOND = 1_000_000_000;
const IN_NANOS = new Set(['max_age', 'duplicate_window']);

/** For people: `num_replicas 1 -> 3; max_age 7 d -> 1 d`. */
export function describeChanges(changes: readonly FieldChange[]): string {
  return changes
    .map(({ field, current, wanted }) => `${field} ${shown(field, current)} -> ${shown(field, wanted)}`)
    .join('; ');
}

function shown(field: string, value: unknown): string {
  if (IN_NANOS.has(field) && typeof value === 'number') return duration(value / NANOS_PER_SECOND);
  if (value === undefined) return 'unset';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Seconds for people, in the largest unit that is whole. */
function duration(seconds: number): string {
  if (seconds === 0) return 'for ever';
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
  ] as const) {
    if (seconds % length === 0) return `${seconds / length} ${unit}`;
  }
  return `${seconds} s`;
}

/** A bucket that the service uses. */
export interface PlannedBucket {
  readonly name: string;
  /** What it holds and how long, for people. */
  readonly what: string;
  readonly kind: BucketKind;
  /** How to get rid of a bucket that cannot be changed; only for what can be folded from the log again. */
  readonly renew?: string;
}

/** What `applyBuckets` would do to each bucket, in their order. */
export async function planBuckets(
  requests: Manageable,
  buckets: readonly PlannedBucket[],
): Promise<readonly TopologyStep[]> {
  if (buckets.length === 0) return [];
  const jsm = await managerOf(requests);
  return Promise.all(buckets.map(async (bucket) => planBucket(bucket, await readBucket(jsm, bucket.name))));
}

/**
 * Makes what is missing and brings replicas to the configuration; never removes anything.
 * @throws NatsUnusable with the server's reason, when it refuses
 */
export async function applyBuckets(
  requests: Manageable,
  buckets: readonly PlannedBucket[],
): Promise<readonly TopologyStep[]> {
  const steps = await planBuckets(requests, buckets);
  await makeBuckets(await managerOf(requests), buckets, steps);
  return steps;
}

async function makeBuckets(
  jsm: JetStreamManager,
  buckets: readonly PlannedBucket[],
  steps: readonly TopologyStep[],
): Promise<void> {
  for (const [index, { name, kind }] of buckets.entries()) {
    const { action } = steps[index] ?? {};
    const update = () => jsm.streams.update(bucketStream(name), adjustable(kind));
    if (action === 'create') await changing('buckets', addStream(jsm, bucketConfig(name, kind)));
    if (action === 'update') await changing('buckets', update());
  }
}

async function readBucket(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(bucketStream(name))).config;
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

/** What of a bucket's stream an update brings to the configuration. Earlier builds gave that of snapshots a limit. */
function adjustable({ replicas }: BucketKind) {
  return { num_replicas: replicas, max_bytes: -1, discard: DiscardPolicy.New };
}

function planBucket({ name, what: held, kind, renew }: PlannedBucket, existing?: StreamConfig): TopologyStep {
  const what = `bucket ${name}`;
  if (existing === undefined)
    return { what, action: 'create', detail: `${held}, ${kind.replicas} replica(s)` };
  const changes = changesOf(existing, adjustable(kind));
  if (changes.length === 0) return { what, action: 'none', detail: held };
  const detail = describeChanges(changes);
  if (kind.replicas > 1 && existing.persist_mode === PersistMode.Async) {
    const why = 'its persist_mode async exists on a single server only';
    return { what, action: 'refuse', detail: `${detail}: ${why}; ${renew ?? 'remove it'}`, changes };
  }
  return { what, action: 'update', detail, changes };
}

/** Where the check value of the e-mail key stands in the log's metadata. */
const EMAIL_KEY_CHECK = 'jetledger.email-key-check';

/** Where the log's metadata says that its events were encrypted from the first one on. */
const ENCRYPTED = 'jetledger.encrypted';

/** What says in a log's metadata that new events are encrypted where `privacy.encrypt` is `auto`. */
export const ENCRYPTED_METADATA = { [ENCRYPTED]: 'from-the-beginning' };

/** Whether new events of this log are encrypted. @param log its stream's configuration on the server */
export function encryptsNew(
  encrypt: Config['privacy']['encrypt'],
  { metadata }: Pick<StreamConfig, 'metadata'>,
): boolean {
  return encrypt === 'auto' ? metadata?.[ENCRYPTED] !== undefined : encrypt === 'on';
}

/** A stream beside the log: nothing in it is history, so what differs is brought to the configuration. */
export interface PlannedStream {
  readonly config: Partial<StreamConfig> & { readonly name: string };
  /** What keeps an existing stream from being this one; none = fit. */
  readonly problems: (existing: StreamConfig) => readonly string[];
  /** Nobody needs what is in it: it is made anew where the server cannot change it. */
  readonly disposable?: true;
  /** Why an existing stream may never become this one, for what was promised to others. */
  readonly objection?: (existing: StreamConfig) => string | undefined;
}

export interface TopologyDeps {
  readonly requests: Manageable;
  readonly log: Config['log'];
  /** Proves later that the service still hashes e-mail addresses with the same key (protocol 6). */
  readonly emailKeyCheck: string;
  /** Whether a log that is made now is encrypted from its first event on, and whether there is a key for that. */
  readonly privacy: { readonly encrypt: boolean; readonly hasMasterKey: boolean };
  readonly streams: readonly PlannedStream[];
  /** Looked at when given; the service makes what is missing of them by itself. */
  readonly buckets?: readonly PlannedBucket[];
  /** Where the servers' monitoring answers, as far as it is known. */
  readonly monitorUrls: readonly string[];
  /** The operator says that the server never held a log (`--new-log`). */
  readonly newLog?: boolean;
}

/** What the server changes of no stream. */
const UNCHANGEABLE: ReadonlySet<string> = new Set(['storage', 'persist_mode']);

/** What `applyTopology` would do, without doing it. */
export async function planTopology(deps: TopologyDeps): Promise<TopologyStep[]> {
  const { requests, log, monitorUrls } = deps;
  const others: TopologyStep[] = [];
  for (const stream of deps.streams) {
    others.push(diffStream(stream, await readStream(requests, stream.config.name)));
  }
  others.push(...(await planBuckets(requests, deps.buckets ?? [])));
  const existing = await readStream(requests, log.stream);
  if (existing !== undefined) return [planLog(deps, existing), ...others];
  const left = others.filter(({ action }) => action !== 'create').map(({ what }) => what);
  const { connection } = requests;
  const isNew = deps.newLog ?? false;
  const known = { connection, stream: log.stream, left, monitorUrls, isNew };
  return [planNewLog(log, lackOfKey(deps) ?? (await objectionToNewLog(known))), ...others];
}

/**
 * Creates the log's stream, or brings the replicas of an existing one to the configuration. Never touches anything
 * that holds history, nor makes an empty log where one may only be unreadable.
 * @throws NatsUnusable when the existing stream could lose history, belongs to another e-mail key or may be there unseen
 */
export async function applyTopology(deps: TopologyDeps): Promise<TopologyStep[]> {
  const { requests, log, emailKeyCheck, buckets = [] } = deps;
  const jsm = await managerOf(requests);
  const steps = await planTopology(deps);
  const [step] = steps;
  if (step === undefined) return [];
  const planned = steps.slice(0, 1 + deps.streams.length);
  const refused = planned.find(({ action }) => action === 'refuse');
  if (refused !== undefined) throw new NatsUnusable(`The topology cannot be applied: ${refused.detail}.`);
  if (step.action === 'create') {
    const metadata = {
      ...{ [INCARNATION_KEY]: randomUUID(), [EMAIL_KEY_CHECK]: emailKeyCheck },
      ...(deps.privacy.encrypt && ENCRYPTED_METADATA),
    };
    await changing(log.stream, addStream(jsm, logStreamConfig(log, metadata)));
  }
  if (step.action === 'update') {
    const compression = StoreCompression.None;
    await changing(log.stream, jsm.streams.update(log.stream, { num_replicas: log.replicas, compression }));
  }
  const others = steps.slice(1);
  for (const [index, { config, disposable }] of deps.streams.entries()) {
    const { action, changes = [] } = others[index] ?? {};
    const isMadeAnew = disposable === true && changes.some(({ field }) => UNCHANGEABLE.has(field));
    if (isMadeAnew) await changing(config.name, jsm.streams.delete(config.name));
    if (action === 'create' || isMadeAnew) await changing(config.name, addStream(jsm, config));
    else if (action === 'update') await changing(config.name, jsm.streams.update(config.name, config));
  }
  await makeBuckets(jsm, buckets, others.slice(deps.streams.length));
  return steps;
}

/** @throws NatsUnusable with the server's reason, when it refuses */
async function changing(name: string, change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (cause) {
    const reason = reasonOf(cause);
    const said = cause instanceof Error ? cause.cause : undefined;
    const guarded = said instanceof errors.RequestError && said.isNoResponders() ? ` ${GUARDED}` : '';
    throw new NatsUnusable(`The server does not make ${name} as configured: ${reason}.${guarded}`, cause);
  }
}

/**
 * Refuses to run without the streams beside the log.
 * @throws NatsUnusable naming the command that makes them
 */
export async function checkStreams(requests: Manageable, streams: readonly PlannedStream[]): Promise<void> {
  for (const stream of streams) {
    const { action, what, detail } = planStream(stream, await readStream(requests, stream.config.name));
    if (action === 'none') continue;
    if (action === 'refuse') throw new NatsUnusable(`The ${what} stays as it is: ${detail}.`);
    const state = action === 'create' ? 'is missing' : `is not as configured (${detail})`;
    throw new NatsUnusable(`The ${what} ${state}. Run: jetledger topology apply`);
  }
}

function planStream(
  { config, problems, objection }: PlannedStream,
  existing: StreamConfig | undefined,
): TopologyStep {
  const what = `stream ${config.name}`;
  if (existing === undefined)
    return { what, action: 'create', detail: `subjects ${config.subjects?.join(', ')}` };
  const refusal = objection?.(existing);
  if (refusal !== undefined) return { what, action: 'refuse', detail: refusal };
  const found = problems(existing);
  if (found.length > 0) return { what, action: 'update', detail: found.join('; ') };
  return { what, action: 'none', detail: 'as configured' };
}

/** As `planStream`, and everything else that differs from the configuration. */
function diffStream(stream: PlannedStream, existing: StreamConfig | undefined): TopologyStep {
  const step = planStream(stream, existing);
  const changes = existing === undefined ? [] : changesOf(existing, stream.config);
  if (changes.length === 0 || step.action === 'refuse') return step;
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

async function readStream(requests: Manageable, name: string): Promise<StreamConfig | undefined> {
  const jsm = await managerOf(requests);
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

function lackOfKey({ privacy }: TopologyDeps): string | undefined {
  if (!privacy.encrypt || privacy.hasMasterKey) return undefined;
  return 'new logs are encrypted and there is no master key: set privacy.masterKeys, privacy.masterKeyFile or privacy.masterKeyCommand, or privacy.encrypt to off (docs/security.md)';
}

function planNewLog(
  { stream, prefix, replicas }: Config['log'],
  objection: string | undefined,
): TopologyStep {
  const what = `stream ${stream}`;
  if (objection !== undefined) return { what, action: 'refuse', detail: objection };
  return { what, action: 'create', detail: `subjects ${prefix}.>, ${replicas} replica(s), kept for ever` };
}

function planLog({ log, emailKeyCheck }: TopologyDeps, existing: StreamConfig): TopologyStep {
  const what = `stream ${log.stream}`;
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
