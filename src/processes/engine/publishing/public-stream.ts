import {
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import {
  createGets,
  EventStoreError,
  HEADER,
  messagesOf,
  numberOf,
  positionAt,
  type Requests,
  slotOf,
} from '../../../eventstore/index.ts';
import { publishOnce } from '../timers/work-queue.ts';
import { cloudEventData, cloudEventHeaders, type PublicFormat } from './cloud-event.ts';
import { type AnyContract, contractName } from './contract.ts';
import type { Mark, Outgoing, PublicStream } from './publisher.ts';

type Named = Pick<AnyContract, 'context' | 'version'>;

/** Whether a stream is that of a contract. @param prefix the log's */
export function isPublicStream(prefix: string, stream: string): boolean {
  return stream.startsWith(`${prefix}-public-`);
}

/** The bucket of the marks of all contracts whose messages expire. */
export function publicMarks(prefix: string): string {
  return `${prefix}_published`;
}

/** The stream of a contract: `jl-public-orders-v1`. @param prefix the log's */
export function publicStreamName(prefix: string, contract: Named): string {
  return `${prefix}-public-${contractName(contract)}`;
}

/**
 * The subjects of a contract: of one aggregate, or with `{key}` for it, as `openMessageStream` wants it. The token before
 * the aggregate is its slot, 0 to 63, by which consumers may share the work.
 */
export function publicSubject({ context, version }: Named, id = '{key}'): string {
  return `pub.${context}.v${version}.${id === '{key}' ? '*' : slotOf(id)}.${id}`;
}

/** How long what a contract tells is kept. */
export interface PublicStreamSettings {
  readonly prefix: string;
  readonly replicas: number;
  /** In milliseconds; undefined = for ever. */
  readonly keepMs: number | undefined;
}

const NANOS = 1_000_000;

/** The stream of a contract. Kept for ever, nothing can be deleted from it. */
export function publicStreamConfig(
  contract: Named,
  { prefix, replicas, keepMs }: PublicStreamSettings,
): Partial<StreamConfig> & { name: string } {
  const isForEver = keepMs === undefined;
  return {
    name: publicStreamName(prefix, contract),
    subjects: [`pub.${contract.context}.v${contract.version}.*.*`],
    storage: StorageType.File,
    compression: StoreCompression.None,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_msgs: -1,
    max_bytes: -1,
    max_msgs_per_subject: -1,
    max_age: (keepMs ?? 0) * NANOS,
    num_replicas: replicas,
    allow_direct: true,
    deny_delete: isForEver,
    deny_purge: isForEver,
  };
}

/** What keeps a stream from being that of a contract, one phrase each; none = fit. */
export function publicStreamProblems(
  existing: StreamConfig,
  contract: Named,
  settings: PublicStreamSettings,
): string[] {
  const wanted = publicStreamConfig(contract, settings);
  const must = [
    'subjects',
    'retention',
    'discard',
    'max_msgs',
    'max_bytes',
    'max_msgs_per_subject',
    'max_age',
  ] as const;
  const denied = ['deny_delete', 'deny_purge'] as const;
  return [
    ...must.filter((field) => String(existing[field]) !== String(wanted[field])),
    ...denied.filter((field) => wanted[field] === true && !existing[field]),
  ].map((field) => `its ${field} is ${existing[field]}, not ${wanted[field]}`);
}

/**
 * Why a stream may never become what the configuration wants: for ever and for a while are promises to others, and the
 * numbers of what has expired are kept apart.
 */
export function publicStreamObjection(
  existing: Pick<StreamConfig, 'deny_purge'>,
  contract: Named,
  { keepMs }: Pick<PublicStreamSettings, 'keepMs'>,
): string | undefined {
  const isForEver = existing.deny_purge === true;
  if (isForEver === (keepMs === undefined)) return undefined;
  const [promised, wanted] = isForEver ? ['for ever', 'for a while'] : ['for a while', 'for ever'];
  return `${contractName(contract)} was promised ${promised} and is to be kept ${wanted}: set publicEvents.contexts back, or publish the next version of the contract`;
}

/** The header that holds the mark. */
const MARK = 'Jl-Mark';

export interface OpenPublicStream {
  readonly requests: Requests;
  readonly prefix: string;
  readonly contract: AnyContract;
  readonly format: PublicFormat;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
}

/** The stream of a contract on NATS; it must be there (`publicStreamConfig`). */
export function openPublicStream({
  requests,
  prefix,
  contract,
  format,
  timeoutMs,
}: OpenPublicStream): PublicStream {
  const name = publicStreamName(prefix, contract);
  const gets = createGets(requests, name, timeoutMs);
  return {
    last: async (id) => {
      const found = await gets.leader({ last_by_subj: publicSubject(contract, id) });
      return found && { place: found.seq, mark: readMark(name, found.headers) };
    },
    ids: async (id) => {
      const subject = publicSubject(contract, id);
      const ids = new Set<string>();
      for await (const message of messagesOf(gets, subject)) ids.add(message.headers?.get('ce-id') ?? '');
      return ids;
    },
    store: (outgoing, after) => {
      const { event, schema } = outgoing;
      const data = cloudEventData(schema, event.data, format);
      const message = headersOf(outgoing, after, format);
      return publishOnce(requests, publicSubject(contract, event.subject), data, message, timeoutMs);
    },
  };
}

function headersOf({ event, mark }: Outgoing, after: number, format: PublicFormat): MsgHdrs {
  const message = headers();
  for (const [name, value] of cloudEventHeaders(event, format)) message.set(name, value);
  message.set(HEADER.expectedSubjectSequence, String(after));
  const { incarnation, position, index, sequence } = mark;
  message.set(MARK, [incarnation, numberOf(position), index, sequence].join(' '));
  return message;
}

function readMark(stream: string, message: MsgHdrs | undefined): Mark {
  const [incarnation = '', ...numbers] = (message?.get(MARK) ?? '').split(' ');
  const [position = 0, index = 0, sequence = 0] = numbers.map(Number);
  if (incarnation !== '' && sequence > 0)
    return { incarnation, position: positionAt(position), index, sequence };
  throw new EventStoreError(
    'public/foreign',
    `Somebody else has published on the stream ${stream}; only its publisher may.`,
  );
}
