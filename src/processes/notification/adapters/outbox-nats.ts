import { headers } from '@nats-io/transport-node';
import { InvalidId } from '../../../eventstore/errors.ts';
import type { Requests } from '../../../eventstore/nats/requests.ts';
import { setTraceHeaders } from '../../../eventstore/nats/trace-headers.ts';
import { HEADER } from '../../../eventstore/nats/wire.ts';
import { publishOnce } from '../../engine/adapters/stream-publish.ts';
import type { Notification, NotificationOutbox } from '../port.ts';
import { notificationJson } from './notification-format.ts';

export interface NatsOutboxOptions {
  readonly requests: Requests;
  /** The log's prefix; the stream must be there (`notificationStreamConfig`). */
  readonly prefix: string;
  /** How long a request may take, in milliseconds. */
  readonly timeoutMs: number;
}

const USER_ID = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * Puts notifications on their stream. One that is published again soon (an hour at the most) is stored once, by its
 * id; later than that it may be stored again, so who receives them compares ids too.
 */
export function createNatsOutbox({ requests, prefix, timeoutMs }: NatsOutboxOptions): NotificationOutbox {
  return {
    publish: async (notification) => {
      const message = headers();
      message.set('Nats-Msg-Id', notification.id);
      message.set(HEADER.contentType, 'application/json');
      setTraceHeaders(message, notification);
      const subject = subjectOf(prefix, notification);
      await publishOnce(requests, subject, notificationJson(notification), message, timeoutMs);
    },
  };
}

function subjectOf(prefix: string, { kind, userId }: Notification): string {
  if (!USER_ID.test(userId)) throw new InvalidId('user id', userId, '1 to 128 of A-Z, a-z, 0-9, - and _');
  return `${prefix}n.${kind}.${userId}`;
}
