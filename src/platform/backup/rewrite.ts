import { jetstream } from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { addStream, managerOf, type Requests } from '../../eventstore/index.ts';
import { BackupError, checkInterrupted, type OnBytes } from './manifest.ts';
import type { ApiAnswer } from './stream-copy.ts';

/** A message of a stream as it lies there. */
export interface StoredMessage {
  readonly subject: string;
  readonly seq: number;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
}

export interface RewriteOptions {
  readonly from: Requests;
  /** A server that does not have the stream. */
  readonly to: Requests;
  readonly stream: string;
  /** Added to the stream's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether each message must get the sequence that it had. */
  readonly keepSequences: boolean;
  /** What the messages hold instead, in their order. */
  readonly rewrite: (batch: readonly StoredMessage[]) => Promise<readonly Uint8Array[]>;
  readonly signal?: AbortSignal;
  readonly onDone?: OnBytes;
}

const BATCH = 500;
const ANSWER_MS = 30_000;

/**
 * Makes a stream on another server out of one that nobody writes to: the same configuration, subjects, order and headers,
 * with other content. The times of the server are new; those of events stand in their content.
 * @throws BackupError when a message is refused, or gets another sequence
 */
export async function rewriteStream(options: RewriteOptions): Promise<void> {
  const { from, to, stream, metadata, signal, onDone } = options;
  const { config, state } = await (await managerOf(from)).streams.info(stream);
  const target = { ...config, metadata: { ...config.metadata, ...metadata } };
  await addStream(await managerOf(to), target);
  if (state.messages === 0) return;
  const { connection, apiPrefix } = from;
  const consumer = await jetstream(connection, { apiPrefix }).consumers.get(stream);
  let batch: StoredMessage[] = [];
  let done = 0;
  for await (const message of await consumer.consume({ max_messages: 2 * BATCH })) {
    checkInterrupted(signal);
    batch.push(message);
    const isLast = message.seq >= state.last_seq;
    if (batch.length < BATCH && !isLast) continue;
    await publishAll(options, batch);
    done += batch.length;
    onDone?.(done, state.messages);
    batch = [];
    if (isLast) break;
  }
}

async function publishAll(options: RewriteOptions, batch: readonly StoredMessage[]): Promise<void> {
  const contents = await options.rewrite(batch);
  // One connection, so they arrive in this order.
  await Promise.all(
    batch.map((message, index) => publish(options, message, contents[index] ?? message.data)),
  );
}

async function publish(
  { to: requests, stream, keepSequences }: RewriteOptions,
  { subject, seq, headers: given }: StoredMessage,
  data: Uint8Array,
): Promise<void> {
  const reply = await requests.request(subject, data, {
    headers: headersFor(given, keepSequences),
    timeoutMs: ANSWER_MS,
  });
  if (reply.failed !== undefined)
    throw new BackupError(`The message ${seq} of ${stream} could not be copied (${String(reply.failed)}).`);
  const answer = reply.msg.json<ApiAnswer<{ readonly seq: number }>>();
  if (answer.error !== undefined)
    throw new BackupError(`The message ${seq} of ${stream} was refused: ${answer.error.description ?? ''}.`);
  if (keepSequences && answer.seq !== seq)
    throw new BackupError(
      `The message ${seq} of ${stream} became ${answer.seq}: something is missing there.`,
    );
}

/** Each goes alone, since all of them are there already; expectations name sequences, and hold where these are kept. */
function headersFor(given: MsgHdrs | undefined, keepSequences: boolean): MsgHdrs {
  const kept = headers();
  for (const [name, values] of given ?? []) {
    if (name.startsWith('Nats-Batch-') || (!keepSequences && name.startsWith('Nats-Expected-'))) continue;
    for (const value of values) kept.append(name, value);
  }
  return kept;
}
