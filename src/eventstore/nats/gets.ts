import type { MsgHdrs } from '@nats-io/transport-node';
import { LogUnavailable } from '../errors.ts';
import { headersIn, readMessage } from './message.ts';
import { type Requests, readFault } from './requests.ts';

/** A message of a stream as a get returns it. */
export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
  /** When the server stored it, in milliseconds since the Unix epoch; the leader says it. */
  readonly time?: number;
}

/** Which message of a stream is wanted. */
export type MessageQuery =
  | { readonly seq: number }
  | { readonly last_by_subj: string }
  | { readonly next_by_subj: string; readonly seq: number };

/** Single messages of one stream by sequence or subject. @throws LogUnavailable when no answer comes in time, PermissionDenied @internal */
export interface Gets {
  /** Through the leader: sees what was acknowledged before. */
  leader(query: MessageQuery): Promise<StoredMessage | undefined>;
  /** From any replica, which may lag. */
  direct(query: MessageQuery): Promise<StoredMessage | undefined>;
  /** Up to `batch` messages of a subject from `seq` on, from any replica; none after `max_bytes` were sent. */
  directBatch(query: {
    readonly next_by_subj: string;
    readonly seq: number;
    readonly batch: number;
    readonly max_bytes?: number;
  }): Promise<StoredMessage[]>;
  /**
   * The last message of each of up to 1,000 subjects, or its last one at a sequence or before it, all from one state of
   * any replica; a subject without messages is left out.
   */
  directLast(subjects: readonly string[], upTo?: number): Promise<StoredMessage[]>;
}

const NOT_FOUND = 404;
/** What the server calls a message that is not there; a stream that is not there has another number. */
const NO_MESSAGE = 10037;
const END_OF_BATCH = 204;

const PREVIOUS = 'Nats-Last-Sequence';

interface LeaderAnswer {
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    readonly hdrs?: string;
    readonly data?: string;
    readonly time: string;
  };
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** Reads single messages of a stream, from its leader or from any copy. @param timeoutMs of each request @internal */
export function createGets(requests: Requests, stream: string, timeoutMs: number): Gets {
  const leaderSubject = `${requests.apiPrefix}.STREAM.MSG.GET.${stream}`;
  const directSubject = `${requests.apiPrefix}.DIRECT.GET.${stream}`;
  const options = { timeoutMs };

  const collect = async (query: object): Promise<StoredMessage[]> => {
    const found: StoredMessage[] = [];
    let problem: unknown;
    const failed = await requests.collect(directSubject, JSON.stringify(query), options, (msg) => {
      try {
        const { headers, data } = readMessage(msg);
        const message = directAnswer(stream, headers, data);
        // Each message, and the end, names the one before: over a route one may get lost.
        const before = headers?.get(PREVIOUS) ?? '';
        if (before !== '' && Number(before) !== (found.at(-1)?.seq ?? 0))
          throw new LogUnavailable(`reading ${stream}: the message ${before} got lost on the way`);
        if (message === undefined) return true;
        found.push(message);
        return false;
      } catch (error) {
        problem = error;
        return true;
      }
    });
    if (failed !== undefined) throw readFault(`reading ${stream}`, failed);
    if (problem !== undefined) throw problem;
    return found;
  };

  return {
    leader: async (query) => {
      const reply = await requests.request(leaderSubject, JSON.stringify(query), options);
      if (reply.failed !== undefined) throw readFault(`reading ${stream}`, reply.failed);
      const answer = JSON.parse(reply.msg.string()) as LeaderAnswer;
      if (answer.error?.err_code === NO_MESSAGE) return undefined;
      if (answer.message === undefined) {
        throw new LogUnavailable(
          `reading ${stream}: ${answer.error?.description ?? 'an answer without a message'}`,
        );
      }
      const { subject, seq, hdrs, data, time } = answer.message;
      return {
        subject,
        seq,
        headers: hdrs === undefined ? undefined : headersIn(Buffer.from(hdrs, 'base64')),
        data: data === undefined ? new Uint8Array() : Buffer.from(data, 'base64'),
        time: Date.parse(time),
      };
    },

    direct: async (query) => {
      const reply = await requests.request(directSubject, JSON.stringify(query), options);
      if (reply.failed !== undefined) throw readFault(`reading ${stream}`, reply.failed);
      const { headers, data } = readMessage(reply.msg);
      return directAnswer(stream, headers, data);
    },

    directBatch: collect,
    directLast: (subjects, upTo) => collect({ multi_last: subjects, up_to_seq: upTo }),
  };
}

/** Messages that are read at once. */
const BATCH = 256;

/**
 * All messages of a subject, which may have wildcards, in their order, up to what the leader knows of at the beginning.
 * @throws LogUnavailable, also where a replica lags behind that @internal
 */
export async function* messagesOf(
  gets: Pick<Gets, 'leader' | 'directBatch'>,
  subject: string,
): AsyncGenerator<StoredMessage> {
  const last = (await gets.leader({ last_by_subj: subject }))?.seq ?? 0;
  for (let seq = 1; seq <= last; ) {
    const found = await gets.directBatch({ next_by_subj: subject, seq, batch: BATCH });
    yield* found;
    const read = found.at(-1)?.seq;
    if (read === undefined) throw new LogUnavailable(`reading ${subject}: a replica lags behind ${last}`);
    seq = read + 1;
  }
}

function directAnswer(
  stream: string,
  headers: MsgHdrs | undefined,
  data: Uint8Array,
): StoredMessage | undefined {
  const seq = headers?.get('Nats-Sequence') ?? '';
  if (headers !== undefined && seq !== '') {
    return { subject: headers.get('Nats-Subject'), seq: Number(seq), headers, data };
  }
  // Only what is no message of the stream has a status, which says why.
  const status = headers?.code ?? 0;
  if (status === NOT_FOUND || status === END_OF_BATCH) return undefined;
  throw new LogUnavailable(`reading ${stream}: status ${status} ${headers?.description ?? ''}`);
}
