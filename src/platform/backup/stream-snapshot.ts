import type { StreamConfig, StreamState } from '@nats-io/jetstream';
import type { Msg } from '@nats-io/transport-node';
import type { Requests } from '../../eventstore/nats/requests.ts';
import { apiRequest } from './api-request.ts';
import { BackupError } from './errors.ts';

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
    const deadline = AbortSignal.timeout(SILENCE_MS);
    while (arrived.length === 0 && failure === undefined && !deadline.aborted) {
      await new Promise<void>((resolve) => {
        wake = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    const msg = failure === undefined ? arrived.shift() : undefined;
    if (msg !== undefined) return msg;
    throw new BackupError(`The copy of the stream ${stream} broke off (${reasonOf(failure)}). Try again.`);
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
        msg.respond();
      }
    } finally {
      close();
    }
  }
  try {
    const request = { deliver_subject: inbox, no_consumers: false, chunk_size: CHUNK_BYTES };
    const { config, state } = await apiRequest<Pick<StreamSnapshot, 'config' | 'state'>>(
      connection,
      `$JS.API.STREAM.SNAPSHOT.${stream}`,
      request,
    );
    return { config, state, chunks: read() };
  } catch (error) {
    close();
    throw error;
  }
}

function reasonOf(failure: unknown): string {
  if (failure === undefined) return `nothing came for ${SILENCE_MS / 1_000} s`;
  return failure instanceof Error ? failure.message : String(failure);
}
