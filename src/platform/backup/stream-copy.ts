import type { StreamConfig, StreamInfo, StreamState } from '@nats-io/jetstream';
import type { Msg } from '@nats-io/transport-node';
import { PermissionDenied, type Requests, reasonOf } from '../../eventstore/index.ts';

import { GUARDED } from '../nats-connection.ts';
import { BackupError, checkInterrupted } from './manifest.ts';

const ANSWER_MS = 15_000;

/** What JetStream's API answers: what was asked for, or why not. */
export type ApiAnswer<T> = T & { readonly error?: { readonly code?: number; readonly description?: string } };

/** One request to JetStream's API. @throws BackupError when it refuses or does not answer in time */
async function apiRequest<T>(requests: Requests, subject: string, request: object): Promise<T> {
  return answerOf<T>(subject, await ask(requests, subject, JSON.stringify(request)));
}

/** One request whose answer may be empty. @throws BackupError when none comes in time */
async function ask(
  requests: Requests,
  subject: string,
  payload: Uint8Array | string,
  timeoutMs = ANSWER_MS,
): Promise<Msg> {
  const reply = await requests.request(subject, payload, { timeoutMs });
  if (reply.failed === undefined) return reply.msg;
  const { failed } = reply;
  if (failed instanceof PermissionDenied) throw new BackupError(failed.message, failed);
  const guarded = failed === 'no-responders' ? ` ${GUARDED}` : '';
  throw new BackupError(`The server does not answer ${subject} (${failed}).${guarded}`);
}

/** The JSON of an answer. @throws BackupError when it says no */
function answerOf<T>(subject: string, msg: Msg): T {
  const answer = msg.json<ApiAnswer<T>>();
  if (answer.error === undefined) return answer;
  throw new BackupError(`The server refuses ${subject}: ${answer.error.description ?? 'no reason given'}.`);
}

/** A stream as the server hands it out: how it is configured, what it held then, and its bytes. */
export interface StreamSnapshot {
  readonly config: StreamConfig;
  /** As of the moment of the snapshot. */
  readonly state: StreamState;
  /** To be read once, to its end. @throws BackupError when the server gives up or the connection is lost */
  readonly chunks: AsyncIterable<Uint8Array>;
}

const CHUNK_BYTES = 128 * 1024;
/** The server gives up after five seconds without an acknowledgement; it may need longer for its first chunk. */
const SILENCE_MS = 30_000;
const ERROR_STATUS = 300;

/**
 * Asks the server for a consistent copy of a stream, its consumers included; appends go on meanwhile. Each chunk is
 * acknowledged when the next one is asked for, so a slow disk slows the server down.
 * @throws BackupError
 */
export async function snapshotStream(requests: Requests, stream: string): Promise<StreamSnapshot> {
  const { connection } = requests;
  const inbox = requests.inbox();
  const arrived: Msg[] = [];
  let failure: unknown;
  let wake: () => void = () => undefined;
  const subscription = connection.subscribe(inbox, {
    callback: (error, msg) => {
      if (error === null) arrived.push(msg);
      else failure = error;
      wake();
    },
  });
  const forgetLoss = requests.onLoss(() => {
    // Chunks that were under way are gone, and the server does not send them again.
    failure = new Error('the connection was lost');
    wake();
  });
  const close = (): void => {
    forgetLoss();
    subscription.unsubscribe();
  };
  const next = async (): Promise<Msg> => {
    let silent = false;
    const deadline = setTimeout(() => {
      silent = true;
      wake();
    }, SILENCE_MS);
    while (arrived.length === 0 && failure === undefined && !silent) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    clearTimeout(deadline);
    const msg = failure === undefined ? arrived.shift() : undefined;
    if (msg !== undefined) return msg;
    throw new BackupError(`The copy of the stream ${stream} broke off (${whyOf(failure)}). Try again.`);
  };
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const msg = await next();
        if (msg.data.length === 0) {
          const { code = 0, description = '' } = msg.headers ?? {};
          if (code < ERROR_STATUS) return;
          throw new BackupError(`The server broke off the copy of ${stream}: ${code} ${description}.`);
        }
        yield msg.data;
        // Where the server waits for it before it sends on.
        if (msg.reply !== undefined) requests.publish(msg.reply, '');
      }
    } finally {
      close();
    }
  }
  try {
    const request = { deliver_subject: inbox, no_consumers: false, chunk_size: CHUNK_BYTES };
    const { config, state } = await apiRequest<Pick<StreamSnapshot, 'config' | 'state'>>(
      requests,
      `${requests.apiPrefix}.STREAM.SNAPSHOT.${stream}`,
      request,
    );
    return { config, state, chunks: read() };
  } catch (error) {
    close();
    throw error;
  }
}

function whyOf(failure: unknown): string {
  if (failure === undefined) return `nothing came for ${SILENCE_MS / 1_000} s`;
  return reasonOf(failure);
}

export interface StreamCopy {
  /** How the stream is to be from its first moment on; its name must be the one that was copied. */
  readonly config: StreamConfig;
  readonly state: StreamState;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** The server unpacks and indexes everything before its last answer. */
const UNPACK_MS = 10 * 60_000;

/**
 * Makes a stream out of a copy: same sequences, subjects, times and consumers. It exists when this returns, and never
 * in part.
 * @throws BackupError
 */
export async function restoreStream(
  requests: Requests,
  { config, state, chunks }: StreamCopy,
  signal?: AbortSignal,
): Promise<StreamInfo> {
  const subject = `${requests.apiPrefix}.STREAM.RESTORE.${config.name}`;
  const { deliver_subject: target } = await apiRequest<{ deliver_subject: string }>(requests, subject, {
    config,
    state,
  });
  for await (const chunk of chunks) {
    checkInterrupted(signal);
    const answer = await ask(requests, target, chunk);
    // Only a refusal has a body here.
    if (answer.data.length > 0) answerOf(subject, answer);
  }
  const made = answerOf<StreamInfo>(subject, await ask(requests, target, '', UNPACK_MS));
  if (made.state.last_seq === state.last_seq && made.state.messages === state.messages) return made;
  const { last_seq: last, messages } = made.state;
  throw new BackupError(
    `The stream ${config.name} came back with ${messages} messages up to ${last}, not ${state.messages} up to ${state.last_seq}.`,
  );
}
