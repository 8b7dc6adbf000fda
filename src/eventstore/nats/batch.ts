import type { MsgHdrs } from '@nats-io/transport-node';
import type { OutgoingMessage, Reply, Requests } from './requests.ts';

export interface BatchMessage extends OutgoingMessage {
  /** Gets the batch's own headers added. An expectation belongs on the first message of each subject only. */
  readonly headers: MsgHdrs;
}

/** The server takes no more messages in one batch. */
export const MAX_BATCH = 1_000;

/**
 * Publishes messages of one stream so that all or none are stored. The client's own batches drop expectations,
 * so the protocol is spoken here: all but the last go out without waiting, the last one's answer is the batch's.
 * @returns the answer to the last message; its sequence is that of the last message
 */
export async function publishBatch(
  requests: Requests,
  batchId: string,
  messages: readonly BatchMessage[],
  timeoutMs: number,
): Promise<Reply> {
  const last = messages.at(-1);
  if (last === undefined || messages.length > MAX_BATCH) {
    throw new RangeError(`A batch holds 1 to ${MAX_BATCH} messages, not ${messages.length}`);
  }
  for (const [index, { headers }] of messages.entries()) {
    headers.set('Nats-Batch-Id', batchId);
    headers.set('Nats-Batch-Sequence', String(index + 1));
  }
  last.headers.set('Nats-Batch-Commit', '1');
  const { subject, payload, headers } = last;
  // When one of them cannot be sent, what the server has of the batch is never committed.
  return requests.request(subject, payload, { headers, timeoutMs, before: messages.slice(0, -1) });
}
