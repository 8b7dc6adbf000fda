import type { MsgHdrs } from '@nats-io/transport-node';
import { HEADER, type Position, positionOf, type Requests, type Runtime } from '../../../eventstore/index.ts';
import { createNatsSource, type StreamedMessage } from '../../delivery/adapters/nats-source.ts';
import type { Deliverable, DeliverySource } from '../../delivery/port.ts';
import { notificationJson, notificationStream, parseNotification } from './outbox.ts';

export interface NotificationSourceOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** The log's prefix. */
  readonly prefix: string;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
  /** As `DeliverySource.beginning`. */
  readonly beginning: () => Promise<number>;
  /** Told of a message that is no notification, which is passed over; maybe more than once. */
  readonly onUnreadable: (sequence: number, error: unknown) => void;
}

/** The stream of notifications, to be delivered. */
export function notificationSource(options: NotificationSourceOptions): DeliverySource {
  const { prefix, beginning, onUnreadable, ...rest } = options;
  const stream = notificationStream(prefix);
  const read = (message: StreamedMessage): Deliverable | undefined => {
    try {
      return deliverableOf(stream, message);
    } catch (error) {
      onUnreadable(message.seq, error);
      return undefined;
    }
  };
  return { ...createNatsSource({ ...rest, stream, subject: `${prefix}n.>`, read }), beginning };
}

/** @throws TypeError for a message that is no notification */
function deliverableOf(source: string, { seq, headers, data }: StreamedMessage): Deliverable {
  const notification = parseNotification(Buffer.from(data).toString('utf8'));
  const { id, kind, userId, orderId, time } = notification;
  return {
    ...{ source, position: seq, id, type: kind, subject: orderId ?? userId, time },
    commit: commitOf(headers),
    body: () => notificationJson(notification),
  };
}

/** Undefined for a notification of an earlier version. */
function commitOf(headers: MsgHdrs | undefined): Position | undefined {
  const text = headers?.get(HEADER.position) ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? positionOf(Number(text)) : undefined;
}
