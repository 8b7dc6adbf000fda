import { setTimeout as after } from 'node:timers/promises';
import type { MsgHdrs } from '@nats-io/transport-node';
import type { BatchResult, Bucket, Row, RowWrite, WriteResult } from '../bucket.ts';
import { EventStoreError, LogUnavailable, OutcomeUnknown, PermissionDenied } from '../errors.ts';
import { BEGINNING, numberOf, positionOf } from '../position.ts';
import type { Runtime } from '../runtime.ts';
import type { SnapshotStore } from '../snapshots/stored.ts';
import { publishBatch } from './batch.ts';
import { createGets, type StoredMessage } from './gets.ts';
import { headerLine, type MessageHeaders, writeHeaders } from './message.ts';
import { type Delivered, type ReaderOptions, readOrdered } from './ordered-reader.ts';
import { type Reply, type Requests, readFault, writeFault } from './requests.ts';
import { HEADER, isConflict, isPassing, type PublishAck, parseAck } from './wire.ts';

export interface NatsBucketOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  readonly name: string;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the bucket's stream allows atomic batches. */
  readonly batches: boolean;
  /**
   * The first call after the connection was lost throws LogUnavailable: the server may have died, and a bucket that
   * writes back later may have lost its newest rows.
   */
  readonly announceLosses: boolean;
}

const KEY = /^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$/;
const KEY_LENGTH = 256;

/** The stream of a bucket, as every NATS client names it. */
export function bucketStream(name: string): string {
  return `KV_${name}`;
}

/** A key-value bucket of JetStream; other clients see the same rows. */
export function createNatsBucket(options: NatsBucketOptions): Bucket {
  const { requests, runtime, name, timeoutMs } = options;
  const stream = bucketStream(name);
  const subjectPrefix = `$KV.${name}.`;
  const gets = createGets(requests, stream, timeoutMs);

  const subjectOf = (key: string): string => {
    if (key.length > KEY_LENGTH || !KEY.test(key))
      throw new EventStoreError(
        'bucket/invalid-key',
        `The key ${JSON.stringify(key)} is not allowed in ${name}.`,
      );
    return subjectPrefix + key;
  };
  const rowOf = (subject: string, seq: number, hdrs: MsgHdrs | undefined, value: Uint8Array): Row => ({
    key: subject.slice(subjectPrefix.length),
    // A marker of another client may carry a body; a removed row never has a value.
    value: isRemoval(hdrs) ? new Uint8Array() : value,
    revision: seq,
    position: positionOf(Number(hdrs?.get(HEADER.position) || 0)),
  });
  const read = (
    settings: Pick<ReaderOptions, 'filter' | 'signal' | 'giveUpMs' | 'onRestart'> & { after?: number },
  ): AsyncGenerator<Delivered[]> => {
    const { after = 0 } = settings;
    return readOrdered({ requests, runtime, stream, lastPerSubject: after === 0, ...settings, after });
  };
  const toRow = ({ msg, seq }: Delivered): Row => rowOf(msg.subject, seq, msg.headers, msg.data);

  let knownLosses = requests.losses();
  function announceLoss(): void {
    if (!options.announceLosses || knownLosses === requests.losses()) return;
    knownLosses = requests.losses();
    throw new LogUnavailable(`using the bucket ${name}: the connection was lost since`);
  }

  /** Async for what it throws; waiting in here would keep the row in memory until it is acknowledged. */
  async function write(row: RowWrite): Promise<WriteResult> {
    announceLoss();
    const subject = subjectOf(row.key);
    return requests
      .request(subject, row.value ?? '', { headers: rowHeaders(row), timeoutMs })
      .then((reply) => outcomeOf(subject, reply));
  }

  function outcomeOf(subject: string, reply: Reply): WriteResult {
    if (reply.failed === 'too-large') throw tooLarge(subject);
    if (reply.failed !== undefined)
      throw writeFault(`writing to the bucket ${name}`, subject, timeoutMs, reply.failed);
    return writeResult(name, parseAck(reply.msg));
  }

  async function writeAll(rows: readonly RowWrite[]): Promise<BatchResult> {
    announceLoss();
    const messages = rows.map((row) => ({
      subject: subjectOf(row.key),
      payload: row.value ?? '',
      headers: rowHeaders(row),
    }));
    const reply = await publishBatch(requests, runtime.id(), messages, timeoutMs);
    if (reply.failed === 'too-large') throw tooLarge(subjectPrefix);
    if (reply.failed === 'not-connected' || reply.failed instanceof PermissionDenied)
      throw writeFault(`writing to the bucket ${name}`, subjectPrefix, timeoutMs, reply.failed);
    if (reply.failed !== undefined) throw new OutcomeUnknown(subjectPrefix, timeoutMs, reply.failed);
    const result = writeResult(name, parseAck(reply.msg));
    return result.written ? { written: true, lastRevision: result.revision } : result;
  }

  return {
    name,
    get: async (key, getOptions = {}) => {
      announceLoss();
      const query = { last_by_subj: subjectOf(key) };
      const found: StoredMessage | undefined = await (getOptions.leader === true
        ? gets.leader(query)
        : gets.direct(query));
      return found === undefined ? undefined : rowOf(found.subject, found.seq, found.headers, found.data);
    },
    getAll: async (keys) => {
      announceLoss();
      const found = keys.length === 0 ? [] : await gets.directLast(keys.map(subjectOf));
      return found.map(({ subject, seq, headers, data }) => rowOf(subject, seq, headers, data));
    },
    write,
    writeAll: options.batches ? writeAll : undefined,
    rows: async function* ({ prefix = '', signal } = {}) {
      // Whole tokens are filtered by the server, the rest here.
      const filter = prefix.endsWith('.') ? `${subjectPrefix}${prefix}>` : `${subjectPrefix}>`;
      for await (const delivered of read({ filter, signal, giveUpMs: 15_000 })) {
        for (const row of delivered.map(toRow)) {
          if (row.value.length > 0 && row.key.startsWith(prefix)) yield row;
        }
        if ((delivered.at(-1)?.pending ?? 0) === 0) return;
      }
    },
    watch: async function* ({ signal, after, caughtUp, settled, untilLost = false }) {
      const lost = new AbortController();
      const ends = untilLost
        ? { signal: AbortSignal.any([signal, lost.signal]), onRestart: () => lost.abort() }
        : { signal };
      let behind = true;
      for await (const delivered of read({
        filter: `${subjectPrefix}>`,
        ...ends,
        ...(after !== undefined && { after }),
      })) {
        for (const row of delivered) yield toRow(row);
        if ((delivered.at(-1)?.pending ?? 0) > 0) continue;
        if (behind) caughtUp?.();
        behind = false;
        settled?.();
      }
    },
    stamp: async () => {
      announceLoss();
      const subject = `${requests.apiPrefix}.STREAM.INFO.${stream}`;
      const reply = await requests.request(subject, '', { timeoutMs });
      if (reply.failed !== undefined) throw readFault(`looking at the bucket ${name}`, reply.failed);
      // A server that comes back without its last writes may be as far again, with others.
      return `${requests.losses()} ${stampIn(name, JSON.parse(reply.msg.string()))}`;
    },
    serverId: () => requests.connection.info?.server_id ?? '',
  };
}

interface InfoAnswer {
  readonly created?: string;
  readonly state?: { readonly messages: number; readonly first_seq: number; readonly last_seq: number };
  readonly error?: { readonly description?: string };
}

/** What was removed without a trace shows in the count, what was made anew in its time. */
function stampIn(name: string, { created, state, error }: InfoAnswer): string {
  if (state === undefined)
    throw new LogUnavailable(
      `looking at the bucket ${name}: ${error?.description ?? 'an answer without a state'}`,
    );
  return [created, state.messages, state.first_seq, state.last_seq].join(' ');
}

function rowHeaders(row: RowWrite): MessageHeaders {
  let lines = headerLine(HEADER.expectedSubjectSequence, String(row.expectedRevision));
  if (row.position !== undefined && row.position !== BEGINNING)
    lines += headerLine(HEADER.position, String(numberOf(row.position)));
  if (row.value === undefined) lines += headerLine(HEADER.kvOperation, 'DEL');
  return writeHeaders(lines);
}

function isRemoval(hdrs: MsgHdrs | undefined): boolean {
  const operation = hdrs?.get(HEADER.kvOperation) ?? '';
  return operation === 'DEL' || operation === 'PURGE';
}

function writeResult(name: string, ack: PublishAck): WriteResult {
  if (ack.error === undefined) return { written: true, revision: ack.seq };
  const { code, errCode, description } = ack.error;
  if (isConflict(errCode)) return { written: false };
  if (isPassing(code, errCode)) throw new LogUnavailable(`writing to the bucket ${name}: ${description}`);
  throw new EventStoreError(
    'bucket/refused',
    `The bucket ${name} refuses a write: ${description} (${errCode}).`,
  );
}

/** Nothing of it was stored, and to try again would not help. */
function tooLarge(subject: string): EventStoreError {
  const what = `A row under ${subject} is larger than the server takes (its max_payload).`;
  return new EventStoreError('bucket/refused', what);
}

/**
 * Snapshots in a bucket; reads may come from any replica, since an old snapshot costs time and never truth.
 * For the same reason writes ask for no answer: that is two thirds of what a write costs both sides.
 */
export function createNatsSnapshotStore(options: {
  readonly requests: Requests;
  readonly bucket: string;
  /** How long one request may take, in milliseconds; a snapshot that takes longer is not worth waiting for. */
  readonly timeoutMs: number;
}): SnapshotStore {
  const { requests, bucket, timeoutMs } = options;
  const gets = createGets(requests, bucketStream(bucket), timeoutMs);
  const subjectOf = (key: string): string => `$KV.${bucket}.${key}`;
  return {
    get: async (key) => (await gets.direct({ last_by_subj: subjectOf(key) }))?.data,
    put: async (key, value) => {
      // Nothing is kept for a server that is away.
      requests.publish(subjectOf(key), value);
    },
    flush: async () => {
      if (requests.connected()) {
        await Promise.race([requests.connection.flush(), after(timeoutMs, undefined, { ref: false })]);
      }
    },
  };
}
