import {
  DiscardPolicy,
  RetentionPolicy,
  StorageType,
  StoreCompression,
  type StreamConfig,
} from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import {
  createGets,
  HEADER,
  InvalidId,
  messagesOf,
  numberOf,
  type Position,
  type Requests,
  setTraceHeaders,
} from '../../../eventstore/index.ts';
import { publishOnce } from '../../engine/index.ts';

import { NOTIFICATION_KINDS, type Notification, type NotificationOutbox, type Origin } from '../port.ts';
import type { NotificationObserver } from './observer.ts';

const KINDS: ReadonlySet<string> = new Set(NOTIFICATION_KINDS);

/** As JSON, the same on the stream and in a webhook. */
export function notificationJson(notification: Notification): string {
  const { id, kind, userId, orderId, text, time, traceparent } = notification;
  return JSON.stringify({
    id,
    kind,
    userId,
    ...(orderId === undefined ? {} : { orderId }),
    text,
    time,
    traceparent,
  });
}

/** The notification that JSON holds. @throws TypeError when it is none */
export function parseNotification(json: string): Notification {
  const found = parsed(json);
  const text = (field: keyof Notification): string => {
    const value = found[field];
    if (typeof value !== 'string') throw new TypeError(`The notification has no usable ${field}.`);
    return value;
  };
  const { kind, time, orderId } = found;
  if (!isKind(kind)) throw new TypeError('The notification has no usable kind.');
  if (typeof time !== 'number') throw new TypeError('The notification has no usable time.');
  return {
    id: text('id'),
    kind,
    userId: text('userId'),
    ...(orderId === undefined ? {} : { orderId: text('orderId') }),
    text: text('text'),
    time,
    traceparent: text('traceparent'),
  };
}

function parsed(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (cause) {
    throw new TypeError('The notification is not JSON.', { cause });
  }
  throw new TypeError('The notification is not a JSON object.');
}

const isKind = (kind: unknown): kind is Notification['kind'] => typeof kind === 'string' && KINDS.has(kind);

export interface NotificationStreamSettings {
  /** The log's prefix: the stream is `<prefix>-notifications`, its subjects `<prefix>n.<kind>.<user id>`. */
  readonly prefix: string;
  readonly replicas: number;
  /** After how many milliseconds a notification is dropped, delivered or not. */
  readonly maxAgeMs: number;
}

/** Ids are remembered for this long, in the server's memory; a longer time costs about 100 bytes a notification. */
const LONGEST_WINDOW_MS = 3_600_000;
const NANOS = 1_000_000;

export const notificationStream = (prefix: string): string => `${prefix}-notifications`;

/** The stream of notifications: kept for a while for whoever wants to look, dropped by age alone. */
export function notificationStreamConfig({
  prefix,
  replicas,
  maxAgeMs,
}: NotificationStreamSettings): Partial<StreamConfig> & { name: string } {
  return {
    name: notificationStream(prefix),
    subjects: [`${prefix}n.>`],
    storage: StorageType.File,
    compression: StoreCompression.None,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    max_msgs: -1,
    max_bytes: -1,
    max_msgs_per_subject: -1,
    max_age: maxAgeMs * NANOS,
    duplicate_window: Math.min(maxAgeMs, LONGEST_WINDOW_MS) * NANOS,
    num_replicas: replicas,
    allow_direct: true,
  };
}

/** What keeps a stream from being that of the notifications, one phrase each; none = fit. */
export function notificationStreamProblems(
  config: StreamConfig,
  { prefix, maxAgeMs }: Omit<NotificationStreamSettings, 'replicas'>,
): string[] {
  const problems: string[] = [];
  const must = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  must(
    config.subjects.length === 1 && config.subjects[0] === `${prefix}n.>`,
    `its subjects are not ${prefix}n.>`,
  );
  must(config.retention === RetentionPolicy.Limits, 'its retention is not by limits');
  must(
    config.max_age === maxAgeMs * NANOS,
    `it keeps messages for ${config.max_age / NANOS} ms, not ${maxAgeMs}`,
  );
  must(
    config.num_replicas === 1 || config.compression !== StoreCompression.S2,
    'it is replicated and compressed (set compression to none)',
  );
  must(config.sealed !== true, 'it is sealed');
  return problems;
}

export interface NatsOutboxOptions {
  readonly requests: Requests;
  /** The log's prefix; the stream must be there (`notificationStreamConfig`). */
  readonly prefix: string;
  /** How long a request may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly observer?: NotificationObserver | undefined;
}

/** The stream of notifications as a place to publish on. */
export interface NatsOutbox extends NotificationOutbox {
  /** Publishes one that was published before; once for each request, which is part of the message's id. */
  publishAgain(notification: Notification, position: Position, request: string): Promise<void>;
}

const USER_ID = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * Puts notifications on their stream. One that is published again soon (an hour at the most) is stored once, by its
 * id; later than that it may be stored again, so who receives them compares ids too.
 */
export function createNatsOutbox(options: NatsOutboxOptions): NatsOutbox {
  const { requests, prefix, timeoutMs, observer } = options;
  const send = async (notification: Notification, position: Position, messageId: string): Promise<void> => {
    const message = headers();
    message.set(MESSAGE_ID, messageId);
    message.set(HEADER.contentType, 'application/json');
    message.set(HEADER.position, String(numberOf(position)));
    setTraceHeaders(message, notification);
    const subject = subjectOf(prefix, notification);
    await publishOnce(requests, subject, notificationJson(notification), message, timeoutMs);
  };
  const isSentAsBefore = createLookup(options);
  const around = observer?.aroundPublish;
  return {
    publish: async (notification, of) => {
      const { position } = of;
      if (of.maybeHandled && (await isSentAsBefore(notification, of))) return;
      const publish = (one: Notification) => send(one, position, one.id);
      await (around === undefined ? publish(notification) : around(notification, publish));
    },
    publishAgain: (notification, position, request) =>
      send(notification, position, `${notification.id}/${request}`),
  };
}

/** By which the server knows a repetition. */
export const MESSAGE_ID = 'Nats-Msg-Id';

/**
 * Whether an earlier version, whose ids began with the position, has put a notification on the stream: under its new
 * id the server and the receiver would take it for another.
 */
function createLookup({ requests, prefix, timeoutMs }: NatsOutboxOptions) {
  const gets = createGets(requests, notificationStream(prefix), timeoutMs);
  return async (notification: Notification, { position }: Origin): Promise<boolean> => {
    const subject = subjectOf(prefix, notification);
    const former = `${numberOf(position)}/${notification.kind}`;
    for await (const { headers: message } of messagesOf(gets, subject))
      if (isNamed(message, former)) return true;
    return false;
  };
}

/** Under the id itself, or sent again because an operator asked for it. */
function isNamed(message: MsgHdrs | undefined, id: string): boolean {
  const name = message?.get(MESSAGE_ID) ?? '';
  return name === id || name.startsWith(`${id}/`);
}

/** What is on the stream for a user, the oldest first. @throws LogUnavailable; TypeError for what is no notification */
export async function* notificationsFor(
  { requests, prefix, timeoutMs }: Pick<NatsOutboxOptions, 'requests' | 'prefix' | 'timeoutMs'>,
  userId: string,
): AsyncGenerator<Notification> {
  if (!USER_ID.test(userId)) return;
  const gets = createGets(requests, notificationStream(prefix), timeoutMs);
  for await (const { data } of messagesOf(gets, `${prefix}n.*.${userId}`))
    yield parseNotification(Buffer.from(data).toString('utf8'));
}

function subjectOf(prefix: string, { kind, userId }: Notification): string {
  if (!USER_ID.test(userId)) throw new InvalidId('user id', userId, '1 to 128 of A-Z, a-z, 0-9, - and _');
  return `${prefix}n.${kind}.${userId}`;
}
