import type { StreamConfig, StreamInfo, StreamState } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { answerOf, apiRequest, ask } from './api-request.ts';
import { BackupError, checkInterrupted } from './errors.ts';

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
  connection: NatsConnection,
  { config, state, chunks }: StreamCopy,
  signal?: AbortSignal,
): Promise<StreamInfo> {
  const subject = `$JS.API.STREAM.RESTORE.${config.name}`;
  const { deliver_subject: target } = await apiRequest<{ deliver_subject: string }>(connection, subject, {
    config,
    state,
  });
  for await (const chunk of chunks) {
    checkInterrupted(signal);
    const answer = await ask(connection, target, chunk);
    // Only a refusal has a body here.
    if (answer.data.length > 0) answerOf(subject, answer);
  }
  const made = answerOf<StreamInfo>(subject, await ask(connection, target, '', UNPACK_MS));
  if (made.state.last_seq === state.last_seq && made.state.messages === state.messages) return made;
  const { last_seq: last, messages } = made.state;
  throw new BackupError(
    `The stream ${config.name} came back with ${messages} messages up to ${last}, not ${state.messages} up to ${state.last_seq}.`,
  );
}
