import type { MsgHdrs } from '@nats-io/transport-node';
import { EventStoreError, LogUnavailable, OutcomeUnknown } from '../../../eventstore/errors.ts';
import type { Requests } from '../../../eventstore/nats/requests.ts';
import { isPassing, parseAck } from '../../../eventstore/nats/wire.ts';

/**
 * Stores one message in the stream that listens on the subject, and waits until it is stored.
 * @param timeoutMs how long the acknowledgement may take
 * @throws LogUnavailable when it is not stored; OutcomeUnknown; EventStoreError `stream/refused` for good
 */
export async function publishOnce(
  requests: Requests,
  subject: string,
  payload: string,
  headers: MsgHdrs,
  timeoutMs: number,
): Promise<void> {
  const reply = await requests.request(subject, payload, { headers, timeoutMs });
  if (reply.failed === 'timeout' || reply.failed === 'connection-lost') {
    throw new OutcomeUnknown(subject, timeoutMs, reply.failed);
  }
  if (reply.failed !== undefined) throw new LogUnavailable(`publishing to ${subject}: ${reply.failed}`);
  const { error } = parseAck(reply.msg);
  if (error === undefined) return;
  if (isPassing(error.code, error.errCode)) {
    throw new LogUnavailable(`publishing to ${subject}: ${error.description}`);
  }
  throw new EventStoreError(
    'stream/refused',
    `The server refuses a message on ${subject}: ${error.description} (${error.errCode}).`,
  );
}
